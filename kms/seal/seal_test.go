package seal

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keytrustee/kms"
)

var made = time.Date(2026, 11, 22, 21, 2, 10, 0, time.UTC)

// authority is a certificate authority of the test's own.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	return authority{certificate(t, "cluster", true, key, nil, key), key}
}

func certificate(t *testing.T, name string, isCA bool, key crypto.Signer, parent *x509.Certificate, by crypto.Signer, usages ...x509.ExtKeyUsage) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: made.Add(-time.Hour),
		NotAfter: made.Add(time.Hour), IsCA: isCA, BasicConstraintsValid: true, ExtKeyUsage: usages}
	if isCA {
		template.KeyUsage = x509.KeyUsageCertSign
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return cert
}

func (a authority) node(t *testing.T, name string, key crypto.Signer) Signer {
	t.Helper()
	return Signer{certificate(t, name, false, key, a.cert, a.key, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth), key, made}
}

func (a authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func ecdsaKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

// hosts is a cluster of two confdirs with two root keys, and the recovery key.
type hosts struct {
	authority
	signer           Signer
	active, passive  string
	recovery         string
	activeRing, ring *Keyring // of the active, of the passive
}

// newHosts makes them the way that host does: Create on the active, WrapFor for the passive.
func newHosts(t *testing.T) *hosts {
	t.Helper()
	h := &hosts{authority: newAuthority(t), active: t.TempDir(), passive: t.TempDir()}
	h.signer = h.node(t, "kt01", ecdsaKey(t))
	for _, dir := range []string{h.active, h.passive} {
		must(t, os.WriteFile(filepath.Join(dir, authorityFile), h.pem(), 0o644))
	}
	root, err := NewRoot(RootPath(h.active))
	must(t, err)
	private, recovery, err := NewRecovery()
	must(t, err)
	h.recovery = private
	must(t, WriteRecovery(h.active, recovery))
	must(t, Create(h.active, "cluster-1", h.signer, root.Public(), recovery))
	h.activeRing, err = Load(h.active)
	must(t, err)

	second, err := NewRoot(RootPath(h.passive))
	must(t, err)
	wraps, err := h.activeRing.WrapFor(second.Public(), h.signer)
	must(t, err)
	must(t, WriteWraps(h.passive, wraps))
	h.ring, err = Load(h.passive)
	must(t, err)
	return h
}

func TestTwoRootsOpenOneKEK(t *testing.T) {
	h := newHosts(t)
	if h.ring.Cluster() != "cluster-1" || h.activeRing.Cluster() != "cluster-1" {
		t.Errorf("clusters %q and %q", h.activeRing.Cluster(), h.ring.Cluster())
	}
	v := ref()
	sealed, err := h.activeRing.Seal(v, kms.NewMaterial([]byte("0123456789abcdef")))
	must(t, err)
	opened, err := h.ring.Open(sealed)
	must(t, err)
	if string(opened.Bytes()) != "0123456789abcdef" {
		t.Error("the passive opened something else")
	}
	if bytes.Contains(sealed.Sealed, []byte("0123456789abcdef")) || bytes.Contains(sealed.Check, []byte("0123456789abcdef")) {
		t.Error("the sealed version holds the material")
	}
	again, err := h.activeRing.Seal(v, opened)
	must(t, err)
	if bytes.Equal(again.Sealed, sealed.Sealed) || !bytes.Equal(again.Check, sealed.Check) {
		t.Error("a second sealing must differ and check alike")
	}
}

func ref() kms.VersionRef {
	return kms.VersionRef{ID: kms.NewID(), KeyID: kms.NewID(), Key: "payroll", Name: "payroll@2", Ordinal: 2, Cipher: "AES/CTR/NoPadding"}
}

func TestMaterialOfEveryLength(t *testing.T) {
	h := newHosts(t)
	for _, n := range []int{0, 1, 16, 32, 4096} {
		want := bytes.Repeat([]byte{7}, n)
		sealed, err := h.activeRing.Seal(ref(), kms.NewMaterial(want))
		must(t, err)
		got, err := h.ring.Open(sealed)
		must(t, err)
		if !got.Present() || !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%d bytes came back as %d", n, len(got.Bytes()))
		}
	}
	if _, err := h.activeRing.Seal(ref(), kms.Material{}); err == nil {
		t.Error("sealed material that is absent")
	}
}

// TestEveryAlterationIsSeen flips each bit of what is stored and changes each field that is bound.
func TestEveryAlterationIsSeen(t *testing.T) {
	h := newHosts(t)
	sealed, err := h.activeRing.Seal(ref(), kms.NewMaterial([]byte("0123456789abcdef")))
	must(t, err)
	fails := func(what string, change func(v *kms.SealedVersion)) {
		t.Helper()
		v := sealed
		v.Sealed, v.Check = bytes.Clone(sealed.Sealed), bytes.Clone(sealed.Check)
		change(&v)
		if _, err := h.ring.Open(v); err == nil {
			t.Errorf("opened with %s", what)
		}
		if _, err := h.ring.ProveVersion(v, nil); err == nil {
			t.Errorf("proven with %s", what)
		}
	}
	for i := range 8 * len(sealed.Sealed) {
		fails(fmt.Sprintf("bit %d of the ciphertext flipped", i), func(v *kms.SealedVersion) { v.Sealed[i/8] ^= 1 << (i % 8) })
	}
	for i := range 8 * len(sealed.Check) {
		fails(fmt.Sprintf("bit %d of the check value flipped", i), func(v *kms.SealedVersion) { v.Check[i/8] ^= 1 << (i % 8) })
	}
	for n := range len(sealed.Sealed) {
		fails(fmt.Sprintf("a ciphertext of %d bytes", n), func(v *kms.SealedVersion) { v.Sealed = v.Sealed[:n] })
	}
	fails("no check value", func(v *kms.SealedVersion) { v.Check = nil })
	fails("another version id", func(v *kms.SealedVersion) { v.ID = kms.NewID() })
	fails("another key id", func(v *kms.SealedVersion) { v.KeyID = kms.NewID() })
	fails("another key name", func(v *kms.SealedVersion) { v.Key = "payrol" })
	fails("another version name", func(v *kms.SealedVersion) { v.Name = "payroll@1" })
	fails("a part of the key name moved", func(v *kms.SealedVersion) { v.Key, v.Name = "payrollp", "ayroll@2" })
	fails("another ordinal", func(v *kms.SealedVersion) { v.Ordinal = 1 })
	fails("another cipher", func(v *kms.SealedVersion) { v.Cipher = "AES/GCM/NoPadding" })
	fails("another KEK", func(v *kms.SealedVersion) { v.KEK = "0123456789abcdef" })
}

func TestUnknownKEKAsksThePeer(t *testing.T) {
	h, other := newHosts(t), newHosts(t)
	sealed, err := other.ring.Seal(ref(), kms.NewMaterial([]byte("x")))
	must(t, err)
	_, err = h.ring.Open(sealed)
	var ro *kms.ReadOnlyError
	if !errors.As(err, &ro) || ro.Remedy != kms.ElsewherePeer || ro.Reason != "root_key_mismatch" {
		t.Errorf("Open = %v", err)
	}
}

func TestProofs(t *testing.T) {
	h := newHosts(t)
	ctx := context.Background()
	rootA, err := h.activeRing.ProveRoot(ctx, []byte("nonce"))
	must(t, err)
	rootB, err := h.ring.ProveRoot(ctx, []byte("nonce"))
	must(t, err)
	other, err := h.ring.ProveRoot(ctx, []byte("other"))
	must(t, err)
	if !bytes.Equal(rootA, rootB) || bytes.Equal(rootA, other) {
		t.Error("root proofs: alike on both hosts, and bound to the nonce")
	}

	v, err := h.activeRing.Seal(ref(), kms.NewMaterial([]byte("0123456789abcdef")))
	must(t, err)
	a, err := h.activeRing.ProveVersion(v, []byte("bind"))
	must(t, err)
	b, err := h.ring.ProveVersion(v, []byte("bind"))
	must(t, err)
	resealed, err := h.activeRing.Seal(v.VersionRef, kms.NewMaterial([]byte("0123456789abcdee")))
	must(t, err)
	c, err := h.ring.ProveVersion(resealed, []byte("bind"))
	must(t, err)
	d, err := h.ring.ProveVersion(v, []byte("binD"))
	must(t, err)
	if !bytes.Equal(a, b) || bytes.Equal(a, c) || bytes.Equal(a, d) || bytes.Equal(a, v.Check) {
		t.Error("version proofs: alike on both hosts, bound to material and nonce, and not the check value")
	}

	change := kms.Change{ID: kms.NewID(), KeyID: kms.NewID(), Seq: 3, Kind: kms.Deleted, At: made, By: "alice", From: "192.0.2.7"}
	proof := h.activeRing.ProveChange(change, []byte("bind"))
	if !bytes.Equal(proof, h.ring.ProveChange(change, []byte("bind"))) {
		t.Error("change proofs differ between the hosts")
	}
	for what, alter := range map[string]func(c *kms.Change){
		"id": func(c *kms.Change) { c.ID = kms.NewID() }, "key": func(c *kms.Change) { c.KeyID = kms.NewID() },
		"seq": func(c *kms.Change) { c.Seq++ }, "kind": func(c *kms.Change) { c.Kind = kms.Purged },
		"version": func(c *kms.Change) { c.Version = kms.NewID() }, "at": func(c *kms.Change) { c.At = c.At.Add(1) },
		"by": func(c *kms.Change) { c.By = "bob" }, "from": func(c *kms.Change) { c.From = "" }, "request": func(c *kms.Change) { c.RequestID = "r" },
	} {
		altered := change
		alter(&altered)
		if bytes.Equal(proof, h.ring.ProveChange(altered, []byte("bind"))) {
			t.Errorf("the proof of a change does not cover its %s", what)
		}
	}
}

// TestRootProofIsFromDisk takes the root key away, or damages a wrap, after the Keyring was loaded.
func TestRootProofIsFromDisk(t *testing.T) {
	for what, spoil := range map[string]func(t *testing.T, dir string){
		"no root key":      func(t *testing.T, dir string) { must(t, os.Remove(RootPath(dir))) },
		"another root key": func(t *testing.T, dir string) { must(t, os.Remove(RootPath(dir))); newRoot(t, dir) },
		"a readable root key": func(t *testing.T, dir string) {
			must(t, os.Chmod(RootPath(dir), 0o640))
		},
		"no wraps":  func(t *testing.T, dir string) { must(t, os.RemoveAll(filepath.Join(dir, kekDir))) },
		"no CA":     func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, authorityFile))) },
		"other KEK": func(t *testing.T, dir string) { must(t, os.RemoveAll(filepath.Join(dir, kekDir))); recreate(t, dir) },
	} {
		t.Run(what, func(t *testing.T) {
			h := newHosts(t)
			v, err := h.ring.Seal(ref(), kms.NewMaterial([]byte("x")))
			must(t, err)
			spoil(t, h.passive)
			if _, err := h.ring.ProveRoot(context.Background(), []byte("nonce")); err == nil {
				t.Fatal("a proof was made from memory")
			}
			if _, err := h.ring.Open(v); err != nil {
				t.Errorf("what is open can no longer be read: %v", err)
			}
		})
	}
}

func newRoot(t *testing.T, dir string) *Root {
	t.Helper()
	r, err := NewRoot(RootPath(dir))
	must(t, err)
	return r
}

// recreate makes another KEK for the root of dir, of a cluster of its own.
func recreate(t *testing.T, dir string) {
	t.Helper()
	root, err := LoadRoot(RootPath(dir))
	must(t, err)
	a := newAuthority(t)
	must(t, os.WriteFile(filepath.Join(dir, authorityFile), a.pem(), 0o644))
	must(t, Create(dir, "cluster-1", a.node(t, "x", ecdsaKey(t)), root.Public()))
}

func TestANewKEKIsFoundAndSeals(t *testing.T) {
	h := newHosts(t)
	old, err := h.ring.Seal(ref(), kms.NewMaterial([]byte("x")))
	must(t, err)
	rootA, err := LoadRoot(RootPath(h.active))
	must(t, err)
	rootB, err := LoadRoot(RootPath(h.passive))
	must(t, err)
	k := newKEK(made.Add(time.Minute))
	for dir, root := range map[string]*Root{h.active: rootA, h.passive: rootB} {
		w, err := wrapKEK(k, "cluster-1", root.Public(), h.signer)
		must(t, err)
		must(t, WriteWraps(dir, []Wrap{w}))
		if dir == h.active {
			a, err := h.activeRing.ProveRoot(context.Background(), nil)
			must(t, err)
			if b, err := h.ring.ProveRoot(context.Background(), nil); err == nil && bytes.Equal(a, b) {
				t.Error("the proofs agree though one host lacks a KEK")
			}
		}
	}
	_, err = h.ring.ProveRoot(context.Background(), nil)
	must(t, err)
	v, err := h.ring.Seal(ref(), kms.NewMaterial([]byte("y")))
	must(t, err)
	if v.KEK != k.id || old.KEK == k.id {
		t.Errorf("sealed under %s, the new KEK is %s", v.KEK, k.id)
	}
	if _, err := h.activeRing.Open(v); err != nil {
		t.Error(err)
	}
	if _, err := h.activeRing.Open(old); err != nil {
		t.Error(err)
	}
}

func TestBoxes(t *testing.T) {
	h := newHosts(t)
	box, err := h.activeRing.SealBox("authority", []byte("secret"))
	must(t, err)
	got, err := h.ring.OpenBox("authority", box)
	must(t, err)
	if string(got) != "secret" || bytes.Contains(box, []byte("secret")) {
		t.Error("the box is open, or holds something else")
	}
	if _, err := h.ring.OpenBox("cookie", box); err == nil {
		t.Error("a box opened under another name")
	}
	for i := range 8 * len(box) {
		bad := bytes.Clone(box)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := h.ring.OpenBox("authority", bad); err == nil {
			t.Errorf("opened with bit %d flipped", i)
		}
	}
	for n := range len(box) {
		if _, err := h.ring.OpenBox("authority", box[:n]); err == nil {
			t.Errorf("opened %d bytes of it", n)
		}
	}
}

func TestCreateNeverReplaces(t *testing.T) {
	h := newHosts(t)
	root, err := LoadRoot(RootPath(h.active))
	must(t, err)
	before := files(t, h.active)
	if err := Create(h.active, "cluster-1", h.signer, root.Public()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create = %v, want fs.ErrExist", err)
	}
	if _, err := NewRoot(RootPath(h.active)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("NewRoot = %v, want fs.ErrExist", err)
	}
	if diff := cmp.Diff(before, files(t, h.active)); diff != "" {
		t.Error(diff)
	}
}

func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			text, err := os.ReadFile(path)
			all[path] = string(text)
			return err
		}
		return err
	}))
	return all
}

func TestFilesOfTheConfdir(t *testing.T) {
	h := newHosts(t)
	for path, text := range files(t, h.active) {
		info, err := os.Stat(path)
		must(t, err)
		public := filepath.Base(path) == authorityFile || filepath.Base(path) == recoveryFile
		if want := fs.FileMode(0o600); !public && info.Mode().Perm() != want {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		if strings.Contains(text, h.recovery) {
			t.Errorf("%s holds the private half of the recovery key", path)
		}
	}
	wraps, err := ReadWraps(h.active)
	must(t, err)
	if len(wraps) != 2 {
		t.Errorf("%d wraps, want one for the root and one for the recovery key", len(wraps))
	}
}

func TestRecovery(t *testing.T) {
	h := newHosts(t)
	must(t, h.activeRing.ConfirmRecovery(h.recovery))
	must(t, h.activeRing.ConfirmRecovery(" "+strings.ToUpper(strings.ReplaceAll(h.recovery, "-", " "))+"\n"))
	other, _, err := NewRecovery()
	must(t, err)
	if err := h.activeRing.ConfirmRecovery(other); err == nil {
		t.Error("another cluster's recovery key was confirmed")
	}
	public, err := ReadRecovery(h.active)
	must(t, err)
	must(t, os.Remove(filepath.Join(h.active, kekDir, h.activeRing.newest.id, public.Fingerprint()+wrapSuffix)))
	if err := h.activeRing.ConfirmRecovery(h.recovery); err == nil {
		t.Error("a recovery key to which nothing is wrapped was confirmed")
	}
}

func TestRecoveryKeyKnowsItsTypingErrors(t *testing.T) {
	text := formatRecovery(bytes.Repeat([]byte{0x5a, 0x17}, 16))
	if _, err := ParseRecovery(text); err != nil {
		t.Fatal(err)
	}
	for i := range text {
		for _, c := range "abcdefghijklmnopqrstuvwxyz234567" {
			bad := text[:i] + string(c) + text[i+1:]
			if bad == text {
				continue
			}
			if _, err := ParseRecovery(bad); err == nil {
				t.Fatalf("accepted %q for %q", bad, text)
			}
		}
		if _, err := ParseRecovery(text[:i]); err == nil {
			t.Fatalf("accepted %d characters of it", i)
		}
		if i > 0 && text[i] != text[i-1] && text[i] != '-' && text[i-1] != '-' {
			if _, err := ParseRecovery(text[:i-1] + text[i:i+1] + text[i-1:i] + text[i+1:]); err == nil {
				t.Fatalf("accepted characters %d and %d exchanged", i-1, i)
			}
		}
	}
}

// TestEveryDamageOfAFileIsSeen flips each bit of the root key's file and of its wrap. What still loads must be the same.
func TestEveryDamageOfAFileIsSeen(t *testing.T) {
	h := newHosts(t)
	root, err := LoadRoot(RootPath(h.passive))
	must(t, err)
	wrap := filepath.Join(h.passive, kekDir, h.ring.newest.id, root.Public().Fingerprint()+wrapSuffix)
	for _, path := range []string{RootPath(h.passive), wrap} {
		good, err := os.ReadFile(path)
		must(t, err)
		step := 1
		if path == wrap {
			step = 7 // some 2,500 bytes, each byte once
		}
		for i := 0; i < 8*len(good); i += step {
			bad := bytes.Clone(good)
			bad[i/8] ^= 1 << (i % 8)
			must(t, os.WriteFile(path, bad, 0o600))
			k, err := Load(h.passive)
			if err != nil {
				continue
			}
			if k.newest.secret != h.ring.newest.secret || k.newest.id != h.ring.newest.id || k.cluster != h.ring.cluster {
				t.Errorf("%s with bit %d flipped loads as something else", filepath.Base(path), i)
			}
		}
		must(t, os.WriteFile(path, good, 0o600))
	}
}

// TestWrapIsBound changes each field of a wrap and has it signed again by a host of the cluster: HPKE itself must refuse.
func TestWrapIsBound(t *testing.T) {
	h := newHosts(t)
	root, err := LoadRoot(RootPath(h.active))
	must(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(h.cert)
	good, err := wrapKEK(h.activeRing.newest, "cluster-1", root.Public(), h.signer)
	must(t, err)
	for what, alter := range map[string]func(w *Wrap){
		"cluster":   func(w *Wrap) { w.Cluster = "cluster-2" },
		"kek":       func(w *Wrap) { w.KEK = "0123456789abcdef" },
		"made":      func(w *Wrap) { w.Made = w.Made.Add(time.Second) },
		"recipient": func(w *Wrap) { w.Recipient = strings.Repeat("0", 32) },
		"sealed":    func(w *Wrap) { w.Sealed[len(w.Sealed)-1] ^= 1 },
	} {
		w := good
		w.Sealed = bytes.Clone(good.Sealed)
		alter(&w)
		if err := w.verify(pool); err == nil {
			t.Errorf("%s changed: the signature still holds", what)
		}
		w.Signature, err = sign(h.signer.Key, w.signed())
		must(t, err)
		must(t, w.verify(pool))
		if _, err := w.open(root, pool); err == nil {
			t.Errorf("%s changed and signed again: the wrap still opens", what)
		}
	}
	second, err := LoadRoot(RootPath(h.passive))
	must(t, err)
	if _, err := good.open(second, pool); err == nil {
		t.Error("a wrap opened with another root")
	}
}

func TestWhoMaySign(t *testing.T) {
	h := newHosts(t)
	root, err := LoadRoot(RootPath(h.active))
	must(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(h.cert)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	late := h.signer
	late.Now = made.Add(2 * time.Hour)
	stolen := h.signer
	stolen.Key = ecdsaKey(t)
	publicKey := ecdsaKey(t)
	for what, c := range map[string]struct {
		by Signer
		ok bool
	}{
		"ECDSA":                   {h.signer, true},
		"Ed25519":                 {h.node(t, "kt02", edKey), true},
		"another authority":       {newAuthority(t).node(t, "kt01", ecdsaKey(t)), false},
		"after its certificate":   {late, false},
		"another key":             {stolen, false},
		"the public listener":     {Signer{certificate(t, "kt01", false, publicKey, h.cert, h.key, x509.ExtKeyUsageServerAuth), publicKey, made}, false},
		"the authority's own key": {Signer{h.cert, h.key, made}, true},
	} {
		w, err := wrapKEK(h.activeRing.newest, "cluster-1", root.Public(), c.by)
		must(t, err)
		if err := w.verify(pool); (err == nil) != c.ok {
			t.Errorf("%s: verify = %v", what, err)
		}
		if err := WriteWraps(h.active, []Wrap{w}); (err == nil) != c.ok {
			t.Errorf("%s: WriteWraps = %v", what, err)
		}
	}
	if _, err := Load(h.active); err != nil {
		t.Error(err)
	}
}

func TestSecretsHaveNoPrintableForm(t *testing.T) {
	h := newHosts(t)
	root, err := LoadRoot(RootPath(h.active))
	must(t, err)
	seed, err := root.key.Bytes()
	must(t, err)
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		for _, secret := range []any{root, h.activeRing.newest, struct{ *Root }{root}} {
			text := fmt.Sprintf(format, secret)
			for _, s := range [][]byte{seed, h.activeRing.newest.secret[:]} {
				if strings.Contains(text, string(s)) || strings.Contains(text, fmt.Sprintf("%x", s)) || strings.Contains(text, fmt.Sprint(s)) {
					t.Errorf("%s prints a secret", format)
				}
			}
		}
	}
}

func FuzzParseWrap(f *testing.F) {
	f.Add([]byte(`{"cluster":"c","kek":"0123456789abcdef","recipient":"0123456789abcdef0123456789abcdef","sealed":"","signed":"2026-11-22T21:02:10Z"}`))
	f.Add([]byte(`{"cluster":"c","kek":"../../../../../etc","recipient":"0123456789abcdef0123456789abcdef"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		w, err := parseWrap(text)
		if err != nil {
			return
		}
		if strings.ContainsAny(w.KEK+w.Recipient, "/.\x00") {
			t.Fatalf("a wrap names files %q and %q", w.KEK, w.Recipient)
		}
		if w.verify(x509.NewCertPool()) == nil {
			t.Fatal("a wrap that nobody signed was verified")
		}
		again, err := json.Marshal(w)
		must(t, err)
		if back, err := parseWrap(again); err != nil || !bytes.Equal(back.info(), w.info()) {
			t.Fatalf("written and read again: %v", err)
		}
	})
}

func FuzzParseRecovery(f *testing.F) {
	f.Add(formatRecovery(make([]byte, 32)))
	f.Add("ktrecovery1-aaaa")
	f.Fuzz(func(t *testing.T, text string) {
		if root, err := ParseRecovery(text); err == nil {
			seed, err := root.key.Bytes()
			must(t, err)
			if len(formatRecovery(seed)) != len(recoveryPrefix)+14*5 {
				t.Fatal("not the form that is written")
			}
		} else if len(text) > 12 && strings.Contains(err.Error(), text) {
			t.Fatal("the error quotes the key")
		}
	})
}

func FuzzPublicKey(f *testing.F) {
	_, public, err := NewRecovery()
	if err != nil {
		f.Fatal(err)
	}
	text, _ := public.MarshalText()
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		var p Public
		if p.UnmarshalText(text) != nil {
			return
		}
		again, err := p.MarshalText()
		must(t, err)
		var q Public
		if err := q.UnmarshalText(again); err != nil || q.Fingerprint() != p.Fingerprint() {
			t.Fatalf("written and read again: %v", err)
		}
	})
}

func FuzzOpenBox(f *testing.F) {
	k := newKEK(made)
	ring := &Keyring{cluster: "c", keks: map[string]*kek{k.id: k}, newest: k}
	box, _ := ring.SealBox("authority", []byte("secret"))
	f.Add(box)
	f.Fuzz(func(t *testing.T, box []byte) {
		if secret, err := ring.OpenBox("authority", box); err == nil && string(secret) != "secret" {
			t.Fatal("a forged box opened")
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestWriteWrapsStaysInTheConfdir: a wrap that travels names its own file, and a host of the cluster may have signed anything.
func TestWriteWrapsStaysInTheConfdir(t *testing.T) {
	h := newHosts(t)
	_, public, err := NewRecovery()
	must(t, err)
	for _, names := range [][2]string{{"../../escaped", public.Fingerprint()}, {"0123456789abcdef", "../../../escaped"}, {"0123456789ABCDEF", public.Fingerprint()}} {
		k := newKEK(made)
		k.id = names[0]
		w, err := wrapKEK(k, "cluster-1", public, h.signer)
		must(t, err)
		w.Recipient = names[1]
		w.Signature, err = sign(h.signer.Key, w.signed())
		must(t, err)
		if err := WriteWraps(h.passive, []Wrap{w}); err == nil {
			t.Errorf("a wrap named %q was written", names)
		}
	}
	if found, err := filepath.Glob(filepath.Join(filepath.Dir(h.passive), "escaped*")); err != nil || len(found) > 0 {
		t.Errorf("outside of the confdir there is %v, %v", found, err)
	}
}
