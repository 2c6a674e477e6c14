package audit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/leodido/go-syslog/v4"
	"github.com/leodido/go-syslog/v4/octetcounting"
	"github.com/leodido/go-syslog/v4/rfc5424"
)

// collector is a receiver that reads RFC 5424 with somebody else's parser.
type collector struct {
	t *testing.T
	l net.Listener

	mu    sync.Mutex
	conns []net.Conn
	got   []*rfc5424.SyslogMessage
	bad   []error
	wg    sync.WaitGroup
}

// collect listens; deaf: it takes connections and reads nothing.
func collect(t *testing.T, address string, config *tls.Config, deaf bool) *collector {
	t.Helper()
	l, err := net.Listen("tcp", address)
	must(t, err)
	if config != nil {
		l = tls.NewListener(l, config)
	}
	c := &collector{t: t, l: l}
	t.Cleanup(c.stop)
	c.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.mu.Lock()
			c.conns = append(c.conns, conn)
			c.mu.Unlock()
			if !deaf {
				c.wg.Go(func() { c.read(conn) })
			}
		}
	})
	return c
}

func (c *collector) address() string { return c.l.Addr().String() }

func (c *collector) read(conn net.Conn) {
	octetcounting.NewParser(syslog.WithListener(func(r *syslog.Result) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if m, ok := r.Message.(*rfc5424.SyslogMessage); ok && r.Error == nil {
			c.got = append(c.got, m)
		} else if len(c.conns) > 0 { // a connection that is cut ends in the middle of a message
			c.bad = append(c.bad, r.Error)
		}
	})).Parse(conn)
}

// stop is the death of the receiver.
func (c *collector) stop() {
	c.l.Close()
	c.mu.Lock()
	conns := c.conns
	c.conns = nil
	c.mu.Unlock()
	for _, conn := range conns {
		conn.Close()
	}
	c.wg.Wait()
}

// texts are the messages, each once: one that came twice has one number.
func (c *collector) texts() (texts []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.bad) > 0 {
		c.t.Fatalf("not RFC 5424: %v", c.bad)
	}
	seen := map[string]bool{}
	for _, m := range c.got {
		number := (*m.StructuredData)["meta"]["sequenceId"]
		if !seen[number] {
			texts = append(texts, *m.Message)
		}
		seen[number] = true
	}
	return texts
}

func await(t *testing.T, what string, reached func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !reached(); {
		if time.Now().After(end) {
			t.Fatalf("not reached: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// certificate is for 127.0.0.1, signed by itself.
func certificate(t *testing.T) (pair tls.Certificate, certPEM, keyPEM []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	certPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	pair, err = tls.X509KeyPair(certPEM, keyPEM)
	must(t, err)
	return pair, certPEM, keyPEM
}

func trusting(t *testing.T, certPEM []byte) *tls.Config {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(certPEM) {
		t.Fatal("no certificate")
	}
	return &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
}
