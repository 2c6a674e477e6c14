package pgstore

import (
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"keytrustee/kms"
	"keytrustee/kms/kmstest"
	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"

	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestStore runs what every Store must do, each test on a database of its own.
func TestStore(t *testing.T) {
	server := pgtest.New(t, pgtest.Options{})
	n := 0
	kmstest.TestStore(t, func(t *testing.T) kms.Store {
		n++
		return emptyStore(t, server, fmt.Sprintf("t%d", n))
	})
}

func emptyStore(t *testing.T, server *postgres.Server, name string) *Store {
	t.Helper()
	ctx := pgtest.Context(t)
	conn, err := pgx.Connect(ctx, server.ConnString("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "create database "+name); err != nil {
		t.Fatal(err)
	}
	if err := Migrate(ctx, server.ConnString(name)); err != nil {
		t.Fatal(err)
	}
	if err := Migrate(ctx, server.ConnString(name)); err != nil {
		t.Fatal("again:", err)
	}
	pool, err := postgres.NewPool(ctx, postgres.PoolConfig{ConnString: server.ConnString(name)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	s, err := New(Config{ConnString: server.ConnString(name), Horizon: &horizon{active: pool, passive: pool}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}
