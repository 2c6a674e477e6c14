package certs

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// Renew returns the same authority, with the same key and name, under a certificate that ends later. It begins when the one before it
// did: what was signed in all that time (certificates, and the wraps that hosts have signed with theirs) stays good under it. Nothing is
// stored.
func (a *Authority) Renew(now time.Time) (*Authority, error) {
	return selfSigned(a.key, a.cert.Subject, a.cert.NotBefore, now)
}

// Adopt returns the same authority under another of its certificates: one of the same key and name, that begins no later and ends no
// earlier. It is how the second host of a pair takes what the first one has renewed.
func (a *Authority) Adopt(certPEM []byte) (*Authority, error) {
	c, err := ParseCertificate(certPEM)
	if err != nil {
		return nil, err
	}
	switch {
	case !a.key.PublicKey.Equal(c.PublicKey) || !bytes.Equal(c.RawSubject, a.cert.RawSubject) || !c.IsCA:
		return nil, errors.New("it is not a certificate of this cluster's authority")
	case c.CheckSignatureFrom(c) != nil:
		return nil, errors.New("the authority has not signed it")
	case c.NotBefore.After(a.cert.NotBefore):
		return nil, fmt.Errorf("it begins only at %s, and what was signed before it would be void", c.NotBefore.UTC().Format(time.RFC3339))
	case c.NotAfter.Before(a.cert.NotAfter):
		return nil, fmt.Errorf("it ends at %s, before the one that is here", c.NotAfter.UTC().Format(time.RFC3339))
	}
	return &Authority{c, a.key}, nil
}

// Expires is when the authority's certificate ends, and with it everything that it has signed.
func (a *Authority) Expires() time.Time { return a.cert.NotAfter }

// Signed reports whether the authority has signed the certificate, whenever that is or was good.
func (a *Authority) Signed(c *x509.Certificate) bool { return c.CheckSignatureFrom(a.cert) == nil }
