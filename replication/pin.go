package replication

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
)

// KeyOf is how a host is recognised beside its name: the SHA-256 of the public key of its cluster certificate, in hex. A
// certificate that is renewed for the same key keeps it; a host that was built anew has another.
func KeyOf(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// ShownBy reports whether c, a certificate that names p, shows p's own key. One that joined before keys were kept has none
// that it could be held to.
func (p Peer) ShownBy(c *x509.Certificate) bool { return p.Key == "" || p.Key == KeyOf(c) }
