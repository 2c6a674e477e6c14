package seal

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"keytrustee/kms"
)

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

// TestRootProofIsFromDisk takes the root key away, or damages a wrap, after the Keyring was loaded.
func TestRootProofIsFromDisk(t *testing.T) {
	for what, spoil := range map[string]func(t *testing.T, dir string){
		"no root key":      func(t *testing.T, dir string) { must(t, os.Remove(RootPath(dir))) },
		"another root key": func(t *testing.T, dir string) { must(t, os.Remove(RootPath(dir))); newRoot(t, dir) },
		"a readable root key": func(t *testing.T, dir string) {
			must(t, os.Chmod(RootPath(dir), 0o640))
		},
		"no wraps":  func(t *testing.T, dir string) { must(t, os.RemoveAll(filepath.Join(dir, KEKDir))) },
		"no CA":     func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, AuthorityFile))) },
		"other KEK": func(t *testing.T, dir string) { must(t, os.RemoveAll(filepath.Join(dir, KEKDir))); recreate(t, dir) },
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

// recreate makes another KEK for the root of dir, of a cluster of its own.
func recreate(t *testing.T, dir string) {
	t.Helper()
	root, err := LoadRoot(RootPath(dir))
	must(t, err)
	a := newAuthority(t)
	must(t, os.WriteFile(filepath.Join(dir, AuthorityFile), a.pem(), 0o644))
	must(t, Create(dir, "cluster-1", a.node(t, "x", ecdsaKey(t)), root.Public()))
}

func TestANewKEKIsFoundAndSeals(t *testing.T) {
	h := newHosts(t)
	old, err := h.ring.Seal(ref(), kms.NewMaterial([]byte("x")))
	must(t, err)
	k := newKEK(made.Add(time.Minute))
	give := func(dir string) {
		root, err := LoadRoot(RootPath(dir))
		must(t, err)
		w, err := wrapKEK(k, "cluster-1", root.Public(), h.signer)
		must(t, err)
		must(t, WriteWraps(dir, []Wrap{w}))
	}
	give(h.active)
	a, err := h.activeRing.ProveRoot(context.Background(), nil)
	must(t, err)
	b, err := h.ring.ProveRoot(context.Background(), nil)
	must(t, err)
	if bytes.Equal(a, b) {
		t.Error("the proofs agree though one host lacks a KEK")
	}
	give(h.passive)
	b, err = h.ring.ProveRoot(context.Background(), nil)
	must(t, err)
	if !bytes.Equal(a, b) {
		t.Error("the proofs differ though both hosts have both KEKs")
	}
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
