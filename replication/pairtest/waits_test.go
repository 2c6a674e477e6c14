package pairtest_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"

	"keytrustee/replication/pairtest"
)

// A commit that waits for the passive is what PostgreSQL has already made durable on one host. Whatever ends the wait, nobody is told of
// success and the active serves nothing of it.
func waitCancelled(t *testing.T, p *pairtest.Pair) {
	waiting(t, p, func(conn *pgx.Conn, backend int) {
		execute(t, conn, "SELECT pg_cancel_backend($1)", backend)
	})
}

func waitTerminated(t *testing.T, p *pairtest.Pair) {
	waiting(t, p, func(conn *pgx.Conn, backend int) {
		execute(t, conn, "SELECT pg_terminate_backend($1)", backend)
	})
}

func waitKilled(t *testing.T, p *pairtest.Pair) {
	waiting(t, p, func(_ *pgx.Conn, backend int) {
		if err := unix.Kill(backend, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		awaitDown(t, p.Active) // one dead backend takes the server with it, and nothing restarts it
		p.Passive.Kill(t)
		p.Active.Start(t, pairtest.PostgreSQL)
	})
}

func waitServerStopped(t *testing.T, p *pairtest.Pair) {
	waiting(t, p, func(*pgx.Conn, int) {
		p.Passive.Kill(t)
		if err := unix.Kill(p.Active.Pids[pairtest.PostgreSQL], unix.SIGQUIT); err != nil { // immediate
			t.Fatal(err)
		}
		awaitDown(t, p.Active)
		p.Active.Start(t, pairtest.PostgreSQL)
	})
}

// waiting makes a create wait in its COMMIT for a passive whose PostgreSQL stands still, and lets hurt end the wait.
func waiting(t *testing.T, p *pairtest.Pair, hurt func(conn *pgx.Conn, backend int)) {
	t.Helper()
	known, material := p.Active.MustCreate(t)
	admin, err := p.Active.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	p.Passive.Freeze(t, pairtest.PostgreSQL)

	name := pairtest.NewKey()
	answer := make(chan pairtest.Answer, 1)
	go func() { answer <- p.Active.Create(t, name) }()
	var backend int
	pairtest.Await(t, 5*time.Second, "a COMMIT waits for the passive", func() bool {
		err := admin.QueryRow(t.Context(), "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query ILIKE 'commit%'").Scan(&backend)
		return err == nil
	})
	t.Logf("backend %d waits in its COMMIT (SyncRep)", backend)
	hurt(admin, backend)

	a := <-answer
	t.Logf("the client was told: %v", a)
	if a.Err != nil || a.Status != http.StatusServiceUnavailable || a.Reason != "outcome_unknown" {
		t.Errorf("want outcome_unknown, got %v", a)
	}
	pairtest.Await(t, 10*time.Second, "the active serves what was acknowledged", func() bool {
		_, got := p.Active.Version(t, known, 0)
		return got == material
	})
	p.Active.MustNotServe(t, name)
}

func awaitDown(t *testing.T, n *pairtest.Node) {
	t.Helper()
	pairtest.Await(t, 10*time.Second, "PostgreSQL of the "+n.Name+" is down", func() bool {
		return unix.Kill(n.Pids[pairtest.PostgreSQL], 0) == unix.ESRCH
	})
}

func execute(t *testing.T, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if tag, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(fmt.Errorf("%s: %w", sql, err))
	} else {
		t.Logf("%s %v: %s", sql, args, tag)
	}
}
