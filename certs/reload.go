package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// Files are one certificate's files, each PEM.
type Files struct {
	Cert string // the certificate; intermediates may follow
	Key  string
	CA   string // whom to believe

	// Whose it has to be: of this node, good for this address. Empty: whoever's.
	Node, Address string
}

// recheck is how long a look at the files holds.
const recheck = time.Second

// Reloader holds a certificate as its files are now: a file that changed is read again at the next handshake, at most a
// second late. Files that can not be used (caught between two writes, another host's, or wrong) leave what was loaded before, and
// are logged once. It starts nothing and may be used concurrently.
type Reloader struct {
	Time func() time.Time // by which the other host's certificate has to be valid; nil: time.Now. Set before the first handshake

	files Files
	log   *slog.Logger

	mu     sync.Mutex // guards what follows, while files are read too
	loaded *loaded
	looked time.Time
	stamp  string
}

type loaded struct {
	cert tls.Certificate
	ca   *x509.CertPool
}

// NewReloader loads the files and fails if they do not fit together or are not whose they have to be.
func NewReloader(files Files, log *slog.Logger) (*Reloader, error) {
	r := &Reloader{files: files, log: log, looked: time.Now(), stamp: files.stamp()}
	var err error
	if r.loaded, err = files.load(); err != nil {
		return nil, err
	}
	return r, nil
}

// load reads the files and checks that the key belongs to the certificate and the certificate to the authority.
func (f Files) load() (*loaded, error) {
	cert, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("loading certificate %s with key %s: %w", f.Cert, f.Key, err)
	}
	caPEM, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, fmt.Errorf("loading authority: %w", err)
	}
	authority, err := ParseCertificate(caPEM)
	if err != nil {
		return nil, fmt.Errorf("loading authority %s: %w", f.CA, err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(caPEM)
	between := x509.NewCertPool()
	for _, der := range cert.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			between.AddCert(c)
		}
	}
	// An expired certificate is served all the same: the client's complaint is clearer than a dead listener.
	opts := x509.VerifyOptions{Roots: pool, Intermediates: between, CurrentTime: cert.Leaf.NotBefore, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	if _, err := cert.Leaf.Verify(opts); err != nil {
		return nil, fmt.Errorf("checking certificate %s against %s: %w", f.Cert, f.CA, err)
	}
	if f.Node != "" && cert.Leaf.Subject.CommonName != f.Node {
		return nil, fmt.Errorf("%s is the certificate of node %q, and this one is %q", f.Cert, cert.Leaf.Subject.CommonName, f.Node)
	}
	if f.Address != "" && cert.Leaf.VerifyHostname(f.Address) != nil {
		return nil, fmt.Errorf("%s is not good for %s", f.Cert, f.Address)
	}
	// The authority goes along, so that a joiner who only has its fingerprint finds it.
	cert.Certificate = append(cert.Certificate, authority.Raw)
	return &loaded{cert, pool}, nil
}

// stamp changes when a file does.
func (f Files) stamp() string {
	var s string
	for _, path := range []string{f.Cert, f.Key, f.CA} {
		if info, err := os.Stat(path); err == nil {
			s += fmt.Sprint(info.ModTime().UnixNano(), info.Size(), " ")
		}
	}
	return s
}

func (r *Reloader) now() *loaded {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.looked) < recheck {
		return r.loaded
	}
	r.looked = time.Now()
	stamp := r.files.stamp()
	if stamp == r.stamp {
		return r.loaded
	}
	r.stamp = stamp
	l, err := r.files.load()
	if err != nil {
		r.log.Error("certificate files changed and can not be used; serving the earlier ones", "error", err)
		return r.loaded
	}
	r.loaded = l
	r.log.Info("certificate reloaded", "file", r.files.Cert, "expires", l.cert.Leaf.NotAfter)
	return l
}

// aead are the suites of TLS 1.2 that encrypt and authenticate in one; Go's own choice has two with CBC and SHA-1 besides.
var aead = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// PublicConfig is for the listener that clients of the key server see.
func (r *Reloader) PublicConfig() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		CipherSuites:   aead,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &r.now().cert, nil },
	}
}

// ClusterServer is for the cluster listener. A caller without a certificate gets a connection, since a joiner has none
// yet; one that shows a certificate has one of this cluster's. Whoever serves a request asks NodeName who called.
func (r *Reloader) ClusterServer() *tls.Config {
	base := &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{"http/1.1"},
		SessionTicketsDisabled: true, // a resumed session would outlive the files that admitted it
		ClientAuth:             tls.VerifyClientCertIfGiven,
		Time:                   r.Time,
	}
	config := base.Clone()
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		l, c := r.now(), base.Clone()
		c.Certificates, c.ClientCAs = []tls.Certificate{l.cert}, l.ca
		return c, nil
	}
	// Never used, but crypto/tls wants a certificate before it asks GetConfigForClient.
	config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &r.now().cert, nil }
	return config
}

// ClusterClient is for connections to the peer's cluster listener: it shows this node's certificate and takes only a
// cluster certificate of this cluster that names peer, for whatever address was dialled. peer is asked at each handshake;
// an empty name takes any node but never a public certificate.
func (r *Reloader) ClusterClient(peer func() string) *tls.Config {
	return &tls.Config{
		MinVersion:           tls.VersionTLS13,
		NextProtos:           []string{"http/1.1"},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &r.now().cert, nil },
		InsecureSkipVerify:   true, // VerifyConnection does it, with the authority's file as it is now
		VerifyConnection: func(cs tls.ConnectionState) error {
			return verifyNode(cs, r.now().ca, peer(), r.Time)
		},
	}
}

// JoinerClient is for a host that has no certificate yet: it takes any node's cluster certificate of the authority with
// that fingerprint.
func JoinerClient(authority Fingerprint) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		NextProtos:         []string{"http/1.1"},
		InsecureSkipVerify: true, // VerifyConnection does it, by the fingerprint
		VerifyConnection: func(cs tls.ConnectionState) error {
			i := slices.IndexFunc(cs.PeerCertificates, func(c *x509.Certificate) bool { return FingerprintOf(c) == authority })
			if i < 0 {
				return ErrForeign
			}
			pool := x509.NewCertPool()
			pool.AddCert(cs.PeerCertificates[i])
			return verifyNode(cs, pool, "", nil)
		},
	}
}

// ErrForeign: the host that answered is not of the cluster that it should be of.
var ErrForeign = errors.New("the host that answered belongs to another cluster")

func verifyNode(cs tls.ConnectionState, ca *x509.CertPool, name string, now func() time.Time) error {
	leaf := cs.PeerCertificates[0]
	opts := x509.VerifyOptions{Roots: ca, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if now != nil {
		opts.CurrentTime = now()
	}
	_, err := leaf.Verify(opts)
	if unknown := (x509.UnknownAuthorityError{}); errors.As(err, &unknown) {
		return ErrForeign
	} else if err != nil {
		return err
	}
	got, ok := NodeName(leaf)
	if !ok {
		return errors.New("the host that answered showed no cluster certificate")
	}
	if name != "" && got != name {
		return fmt.Errorf("the host that answered is %q, expected %q", got, name)
	}
	return nil
}

// NodeName returns the name of the node that a verified certificate identifies; false for any but a cluster certificate.
func NodeName(c *x509.Certificate) (string, bool) {
	return c.Subject.CommonName, slices.Contains(c.Subject.OrganizationalUnit, clusterUnit) &&
		slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
}
