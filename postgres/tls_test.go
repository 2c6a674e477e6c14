package postgres_test

import (
	"context"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// TestReplicationPeer lets in who comes from the peer's address with the peer's certificate, and nobody else.
func TestReplicationPeer(t *testing.T) {
	t.Parallel()
	ca, foreign := pgtest.NewAuthority(t), pgtest.NewAuthority(t)
	server := ca.Issue(t, "kt01")
	o := pgtest.Options{
		Listen: []string{"127.0.0.1"},
		TLS:    server,
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
	as := func(f postgres.TLSFiles) []string {
		return []string{"sslmode", "verify-full", "sslrootcert", server.CA, "sslcert", f.Cert, "sslkey", f.Key}
	}
	peer := as(ca.Issue(t, "kt02"))
	if err := connect(postgres.Replicator, peer...); err != nil {
		t.Errorf("the peer: %v", err)
	}
	for name, err := range map[string]error{
		"another host's certificate": connect(postgres.Replicator, as(ca.Issue(t, "kt03"))...),
		"another authority's":        connect(postgres.Replicator, as(foreign.Issue(t, "kt02"))...),
		"no certificate":             connect(postgres.Replicator, "sslmode", "verify-full", "sslrootcert", server.CA),
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
