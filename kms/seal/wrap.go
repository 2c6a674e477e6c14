package seal

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Wrap is a KEK closed to one root key. Only the root that Recipient names opens it; HPKE binds it to the cluster, the KEK
// and the recipient, and the host that made it has signed all of it. A Wrap is no secret.
type Wrap struct {
	Cluster   string    `json:"cluster"`
	KEK       string    `json:"kek"`       // id of the KEK within
	Made      time.Time `json:"made"`      // when the KEK was made
	Recipient string    `json:"recipient"` // fingerprint of the root key that opens it
	Sealed    []byte    `json:"sealed"`    // HPKE's encapsulated key and ciphertext
	Signed    time.Time `json:"signed"`
	Signer    []byte    `json:"signer"` // the signing host's cluster certificate, DER
	Signature []byte    `json:"signature"`
}

// Signer is the host that makes wraps: its cluster certificate and that certificate's key (ECDSA P-256 or Ed25519).
type Signer struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
	Now         time.Time // when it signs; the certificate has to be valid then
}

// parseWrap reads the JSON form. It checks that the wrap is whole, not who made it: see verify.
func parseWrap(text []byte) (Wrap, error) {
	var w Wrap
	if err := json.Unmarshal(text, &w); err != nil {
		return Wrap{}, fmt.Errorf("key-encryption key's wrap: %w", err)
	}
	if err := w.check(); err != nil {
		return Wrap{}, err
	}
	return w, nil
}

// check reports whether the wrap's names are names, whoever signed them.
func (w *Wrap) check() error {
	if w.Cluster == "" || !isHex(w.KEK, 16) || !isHex(w.Recipient, 32) {
		return errors.New("key-encryption key's wrap: cluster, kek and recipient do not name anything")
	}
	return nil
}

// isHex holds the two ids that become names of files to digits.
func isHex(s string, n int) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == n
}

func wrapKEK(k *kek, cluster string, to Public, by Signer) (Wrap, error) {
	w := Wrap{Cluster: cluster, KEK: k.id, Made: k.made, Recipient: to.Fingerprint(), Signed: by.Now.UTC().Truncate(time.Second),
		Signer: by.Certificate.Raw}
	var err error
	if w.Sealed, err = hpke.Seal(to.key, kdf, aead, w.info(), k.secret[:]); err != nil {
		return Wrap{}, fmt.Errorf("wrapping key-encryption key %s to root %s: %w", w.KEK, w.Recipient, err)
	}
	if w.Signature, err = sign(by.Key, w.signed()); err != nil {
		return Wrap{}, fmt.Errorf("signing the wrap of key-encryption key %s: %w", w.KEK, err)
	}
	return w, nil
}

// info binds the wrap to what it says of itself.
func (w *Wrap) info() []byte {
	return bind("keytrustee wrap 1", w.Cluster, w.KEK, w.Made.UTC().Format(time.RFC3339Nano), w.Recipient)
}

// signed is what the signature covers: everything.
func (w *Wrap) signed() []byte {
	return bind("keytrustee wrap signature 1", string(w.info()), string(w.Sealed), w.Signed.UTC().Format(time.RFC3339Nano),
		string(w.Signer))
}

// verify reports whether a host of the cluster made the wrap as it is: its certificate was valid, for a cluster node, under
// one of the authorities in trust when it signed.
func (w *Wrap) verify(trust *x509.CertPool) error {
	fail := func(err error) error {
		return fmt.Errorf("wrap of key-encryption key %s to root %s: %w", w.KEK, w.Recipient, err)
	}
	cert, err := x509.ParseCertificate(w.Signer)
	if err != nil {
		return fail(err)
	}
	if _, err := cert.Verify(x509.VerifyOptions{
		Roots: trust, CurrentTime: w.Signed, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, // a public certificate has it not
	}); err != nil {
		return fail(err)
	}
	algorithm := x509.ECDSAWithSHA256
	if _, ok := cert.PublicKey.(ed25519.PublicKey); ok {
		algorithm = x509.PureEd25519
	}
	if err := cert.CheckSignature(algorithm, w.signed(), w.Signature); err != nil {
		return fail(err)
	}
	return nil
}

// open verifies the wrap and returns the KEK within.
func (w *Wrap) open(root *Root, trust *x509.CertPool) (*kek, error) {
	if err := w.verify(trust); err != nil {
		return nil, err
	}
	secret, err := hpke.Open(root.key, kdf, aead, w.info(), w.Sealed)
	k := &kek{id: w.KEK, made: w.Made}
	if err != nil || copy(k.secret[:], secret) != len(k.secret) || len(secret) != len(k.secret) {
		return nil, fmt.Errorf("root key %s does not open its wrap of key-encryption key %s: one of them is damaged",
			root.Public().Fingerprint(), w.KEK)
	}
	return k, nil
}

func sign(key crypto.Signer, message []byte) ([]byte, error) {
	switch key.Public().(type) {
	case ed25519.PublicKey:
		return key.Sign(rand.Reader, message, crypto.Hash(0))
	case *ecdsa.PublicKey:
		sum := sha256.Sum256(message)
		return key.Sign(rand.Reader, sum[:], crypto.SHA256)
	default:
		return nil, fmt.Errorf("a %T can not sign wraps; use ECDSA P-256 or Ed25519", key.Public())
	}
}
