package seal

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

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
		if _, err := w.open(root, pool); (err == nil) != c.ok { // one that was put into the confdir
			t.Errorf("%s: open = %v", what, err)
		}
	}
	if _, err := Load(h.active); err != nil {
		t.Error(err)
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
