package pgstore

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"keytrustee/kms"
	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// awaited is a horizon that remembers what it was asked to wait for.
type awaited struct {
	*horizon
	at   postgres.LSN
	rows [][16]byte
}

func (a *awaited) Await(ctx context.Context, xid postgres.XID, at postgres.LSN, rows [][16]byte) error {
	a.at, a.rows = at, rows
	return a.horizon.Await(ctx, xid, at, rows)
}

// TestApplyAwaitsItsRow: a change waits for the version that it made, or for itself, at a position behind its COMMIT.
func TestApplyAwaitsItsRow(t *testing.T) {
	server := pgtest.New(t, pgtest.Options{})
	if err := Migrate(pgtest.Context(t), server.ConnString("postgres")); err != nil {
		t.Fatal(err)
	}
	pool, err := postgres.NewPool(t.Context(), postgres.PoolConfig{ConnString: server.ConnString("postgres")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	h := &awaited{horizon: &horizon{active: pool, passive: pool}}
	s, err := New(Config{ConnString: server.ConnString("postgres"), Horizon: h})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)

	c, k, v := newKey(t, "k")
	applied := func(c kms.Change, key *kms.Key, version *kms.SealedVersion, want kms.ID) {
		t.Helper()
		before := end(t, server)
		if err := s.Apply(t.Context(), c, key, version); err != nil {
			t.Fatal(err)
		}
		if len(h.rows) != 1 || h.rows[0] != want || h.at <= before {
			t.Errorf("%s: it waited for rows %x at %s; want %s behind %s", c.Kind, h.rows, h.at, want, before)
		}
	}
	applied(c, &k, &v, v.ID)
	deleted := kms.Change{ID: kms.NewID(), KeyID: k.ID, Seq: 1, Kind: kms.Deleted, At: c.At, By: "alice"}
	applied(deleted, nil, nil, deleted.ID)
}

// TestCommitHasNoDeadline: the caller's time is up while COMMIT waits for the passive. It goes on, and its own answer says what
// came of it.
func TestCommitHasNoDeadline(t *testing.T) {
	p := newPair(t)
	var log bytes.Buffer // written by the one change, before its outcome is there
	s, err := New(Config{ConnString: p.active.ConnString("postgres"), Horizon: p.horizon, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	p.freeze()
	ctx, cancel := context.WithCancel(t.Context())
	result := create(ctx, t, s, "k")
	p.waiting(1)
	cancel()
	select {
	case err := <-result:
		t.Fatalf("it ended while COMMIT waited: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	p.thaw()
	if err := <-result; err != nil {
		t.Error(err)
	}
	if strings.Contains(log.String(), "unknown") {
		t.Errorf("COMMIT was given up: %s", log.String())
	}
}

// end is where the server's log ends.
func end(t *testing.T, server *postgres.Server) postgres.LSN {
	t.Helper()
	conn, err := pgx.Connect(pgtest.Context(t), server.ConnString("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	at, err := flushed(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// TestWarningIsHeard: what a server says below a warning is nothing, a warning is kept until the next COMMIT.
func TestWarningIsHeard(t *testing.T) {
	s := emptyStore(t, pgtest.New(t, pgtest.Options{}), "t")
	conn, err := s.writes.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	for _, row := range []struct {
		raise string
		heard bool
	}{{"notice", false}, {"info", false}, {"warning", true}} {
		delete(conn.Conn().PgConn().CustomData(), warned)
		if _, err := conn.Exec(t.Context(), "do $$ begin raise "+row.raise+" 'it waited for nobody'; end $$"); err != nil {
			t.Fatal(err)
		}
		if heard := conn.Conn().PgConn().CustomData()[warned] != nil; heard != row.heard {
			t.Errorf("raise %s: heard %t", row.raise, heard)
		}
	}
}
