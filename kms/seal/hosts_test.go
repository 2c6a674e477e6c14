package seal

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
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
		must(t, os.WriteFile(filepath.Join(dir, AuthorityFile), h.pem(), 0o644))
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

func newRoot(t *testing.T, dir string) *Root {
	t.Helper()
	r, err := NewRoot(RootPath(dir))
	must(t, err)
	return r
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

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
