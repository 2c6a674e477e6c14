package postgres_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// TestReplicationPeer lets in who comes from the peer's address with the peer's certificate, and nobody else.
func TestReplicationPeer(t *testing.T) {
	t.Parallel()
	dir := pgtest.Dir(t)
	ca, foreign := newAuthority(t, dir, "ca"), newAuthority(t, dir, "foreign")
	server := ca.issue(t, dir, "kt01")
	o := pgtest.Options{
		Listen: []string{"127.0.0.1"},
		TLS:    postgres.TLSFiles{Cert: server.cert, Key: server.key, CA: ca.cert},
		HBA:    postgres.HBA{Replication: []postgres.ReplicationPeer{{Address: "127.0.0.1", CN: "kt02"}}},
	}
	s := pgtest.New(t, o)
	connect := func(user string, options ...string) error {
		pairs := []string{"host", "127.0.0.1", "port", strconv.Itoa(s.Port), "user", user, "replication", "true", "connect_timeout", "5"}
		conn, err := pgconn.Connect(pgtest.Context(t), postgres.ConnString(append(pairs, options...)...))
		if err != nil {
			return err
		}
		defer conn.Close(context.Background())
		_, err = conn.Exec(pgtest.Context(t), "IDENTIFY_SYSTEM").ReadAll()
		return err
	}
	as := func(c credential) []string {
		return []string{"sslmode", "verify-full", "sslrootcert", ca.cert, "sslcert", c.cert, "sslkey", c.key}
	}
	peer := as(ca.issue(t, dir, "kt02"))
	if err := connect(postgres.Replicator, peer...); err != nil {
		t.Errorf("the peer: %v", err)
	}
	for name, err := range map[string]error{
		"another host's certificate": connect(postgres.Replicator, as(ca.issue(t, dir, "kt03"))...),
		"another authority's":        connect(postgres.Replicator, as(foreign.issue(t, dir, "kt02"))...),
		"no certificate":             connect(postgres.Replicator, "sslmode", "verify-full", "sslrootcert", ca.cert),
		"no TLS":                     connect(postgres.Replicator, "sslmode", "disable"),
		"the superuser":              connect(postgres.Superuser, peer...),
		"a database":                 connect(postgres.Replicator, append(peer, "replication", "database", "dbname", "postgres")...),
	} {
		if err == nil {
			t.Errorf("%s: let in", name)
		}
	}
	reload := func(h postgres.HBA) {
		t.Helper()
		if err := s.WriteHBA(h); err != nil {
			t.Fatal(err)
		}
		if err := s.Reload(pgtest.Context(t)); err != nil {
			t.Fatal(err)
		}
	}
	reload(postgres.HBA{Replication: []postgres.ReplicationPeer{{Address: "127.0.0.9", CN: "kt02"}}})
	if err := connect(postgres.Replicator, peer...); err == nil {
		t.Error("another address: let in")
	}
	reload(o.HBA)
	if err := connect(postgres.Replicator, peer...); err != nil {
		t.Errorf("the peer, opened again: %v", err)
	}
	reload(postgres.HBA{})
	if err := connect(postgres.Replicator, peer...); err == nil {
		t.Error("closed: let in")
	}
	if got := query[int](t, s, `SELECT 1`); got != 1 {
		t.Error("closed: the administrator is shut out")
	}
}

// credential is a certificate with its key, as files.
type credential struct{ cert, key string }

type authority struct {
	credential
	template *x509.Certificate
	private  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, dir, name string) authority {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a := authority{template: template}
	a.private, a.credential = certify(t, dir, name, template, template, nil)
	return a
}

func (a authority) issue(t *testing.T, dir, cn string) credential {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: cn}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	_, c := certify(t, dir, a.template.Subject.CommonName+"-"+cn, template, a.template, a.private)
	return c
}

// certify writes a new key and its certificate to dir, where the server's user can read them. Without signer it signs itself.
func certify(t *testing.T, dir, name string, template, issuer *x509.Certificate, signer *ecdsa.PrivateKey) (*ecdsa.PrivateKey, credential) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	c := credential{filepath.Join(dir, name+".pem"), filepath.Join(dir, name+"-key.pem")}
	for path, block := range map[string]*pem.Block{
		c.cert: {Type: "CERTIFICATE", Bytes: der}, c.key: {Type: "PRIVATE KEY", Bytes: pkcs8},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if u := pgtest.User(t); u != nil {
			if err := os.Chown(path, u.UID, u.GID); err != nil {
				t.Fatal(err)
			}
		}
	}
	return key, c
}
