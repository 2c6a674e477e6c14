package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"time"
)

// How long certificates live. They begin an hour before they are made, so that a peer whose clock is behind takes them.
const (
	authorityLife = 20 * 365 * 24 * time.Hour
	leafLife      = 5 * 365 * 24 * time.Hour
	backdate      = time.Hour
)

// Purpose says what a certificate is for.
type Purpose int

// Public identifies the key server to its clients; Cluster identifies a node to its peer, as server and as client.
const (
	Public Purpose = iota + 1
	Cluster
)

// clusterUnit is the organizational unit of every cluster certificate. A public certificate lacks it, so that it is no
// node's identity even where its name would fit.
const clusterUnit = "keytrustee cluster"

// Authority is the cluster's certificate authority, an ECDSA P-256 key with its certificate.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes the authority of the cluster with that id. Nothing is stored.
func NewAuthority(clusterID string, now time.Time) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the authority's key: %w", err)
	}
	subject := pkix.Name{Organization: []string{"Keytrustee"}, CommonName: "Keytrustee cluster " + clusterID}
	return selfSigned(key, subject, now.Add(-backdate), now)
}

// selfSigned is the authority with that key and name, from then on and for authorityLife from now.
func selfSigned(key *ecdsa.PrivateKey, subject pkix.Name, from, now time.Time) (*Authority, error) {
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               subject,
		NotBefore:             from,
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making the authority's certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("making the authority's certificate: %w", err)
	}
	return &Authority{cert, key}, nil
}

// OpenAuthority returns the authority with that certificate and key. They must belong together.
func OpenAuthority(certPEM, pkcs8 []byte) (*Authority, error) {
	cert, err := ParseCertificate(certPEM)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return nil, errors.New("the authority's key is not a PKCS #8 key") // the parser's text could tell of the key
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(cert.PublicKey) {
		return nil, errors.New("the authority's key does not belong to its certificate")
	}
	return &Authority{cert, key}, nil
}

// CertPEM is the authority's certificate, which everybody may have.
func (a *Authority) CertPEM() []byte { return encodeCert(a.cert.Raw) }

// Key is the authority's private key as PKCS #8. Whoever has it is the cluster: seal it before it touches a disk.
func (a *Authority) Key() ([]byte, error) { return x509.MarshalPKCS8PrivateKey(a.key) }

// Sign issues a certificate for the key of csr, whose signature ParseCSR has checked. The subject and the hosts (DNS names
// and IP addresses) are the caller's decision and not the request's; for a cluster certificate name is the node's name.
// Localhost, 127.0.0.1 and ::1 are always added to the hosts.
func (a *Authority) Sign(csr *CSR, purpose Purpose, name string, hosts []string, now time.Time) (certPEM []byte, err error) {
	return a.Extend(nil, csr, purpose, name, hosts, now)
}

// Extend is Sign for a certificate that takes the place of old, one of the same key: it begins no later than that and ends no earlier, but
// with the authority. So a clock that is wrong for a while takes nothing from a good certificate. With old nil it is Sign.
func (a *Authority) Extend(old *x509.Certificate, csr *CSR, purpose Purpose, name string, hosts []string, now time.Time) (certPEM []byte, err error) {
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{Organization: []string{"Keytrustee"}, CommonName: name},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(leafLife),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if old != nil && old.NotBefore.Before(template.NotBefore) {
		template.NotBefore = old.NotBefore
	}
	if old != nil && old.NotAfter.After(template.NotAfter) {
		template.NotAfter = old.NotAfter
	}
	if template.NotAfter.After(a.cert.NotAfter) {
		template.NotAfter = a.cert.NotAfter
	}
	if purpose == Cluster {
		template.Subject.OrganizationalUnit = []string{clusterUnit}
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}
	for _, h := range append(slices.Clone(hosts), "localhost", "127.0.0.1", "::1") {
		addHost(template, h)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, csr.public, a.key)
	if err != nil {
		return nil, fmt.Errorf("signing the certificate of %s: %w", name, err)
	}
	return encodeCert(der), nil
}

func addHost(c *x509.Certificate, host string) {
	if ip := net.ParseIP(host); ip != nil {
		if !slices.ContainsFunc(c.IPAddresses, ip.Equal) {
			c.IPAddresses = append(c.IPAddresses, ip)
		}
	} else if host != "" && !slices.Contains(c.DNSNames, host) {
		c.DNSNames = append(c.DNSNames, host)
	}
}

// NewKey makes the private key of a certificate and returns it with its PEM form (PKCS #8).
func NewKey() (key crypto.Signer, keyPEM []byte, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("making a certificate's key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return nil, nil, fmt.Errorf("making a certificate's key: %w", err)
	}
	return k, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// ParseKey reads the PEM form that NewKey returns. Its error tells nothing of the key.
func ParseKey(keyPEM []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(keyPEM)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, errors.New("there is no PEM private key (PKCS #8) in it")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the private key in it can not be read")
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("the private key in it is not an ECDSA key")
	}
	return key, nil
}

// ParseCertificate returns the first certificate of a PEM text.
func ParseCertificate(certPEM []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(certPEM)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("there is no PEM certificate in it")
	}
	return x509.ParseCertificate(block.Bytes)
}

// Fingerprint is the SHA-256 of a certificate.
type Fingerprint [sha256.Size]byte

// FingerprintOf returns the fingerprint of a certificate.
func FingerprintOf(c *x509.Certificate) Fingerprint { return sha256.Sum256(c.Raw) }

func encodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func serial() *big.Int {
	var b [16]byte
	rand.Read(b[:])
	b[0] &= 0x7f
	b[0] |= 0x40 // never zero, always of the same length
	return new(big.Int).SetBytes(b[:])
}
