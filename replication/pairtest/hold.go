package pairtest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"
)

// HoldAnswers keeps writes from being answered although both hosts have them: what reads keys on the passive stands still, and nobody can
// connect there to read them, so no row is proven. Replay, heartbeats and the gate go on, and what asks on a spared connection is answered.
// release, or the end of the test, ends it.
func (p *Pair) HoldAnswers(t testing.TB, spare ...*pgx.Conn) (release func()) {
	t.Helper()
	n := p.Passive
	watch, err := n.Connect(context.Background()) // made before nobody can
	if err != nil {
		t.Fatal(err)
	}
	main := process{pid: n.Pids[PostgreSQL]}
	held := []process{main}
	release = sync.OnceFunc(func() {
		for _, p := range slices.Backward(held) {
			p.signal(t, unix.SIGCONT)
		}
		watch.Close(context.Background())
	})
	t.Cleanup(release)
	main.signal(t, unix.SIGSTOP) // from here on no new ones
	readers, err := watch.Query(t.Context(), "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	if err != nil {
		t.Fatal(err)
	}
	for readers.Next() {
		var r process
		if err := readers.Scan(&r.pid); err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(spare, func(c *pgx.Conn) bool { return int(c.PgConn().PID()) == r.pid }) {
			continue
		}
		pid, ok := n.pair.place.outside(n, r.pid)
		if !ok {
			continue // it has ended
		}
		r.pid = pid
		held = append(held, r)
		r.signal(t, unix.SIGSTOP)
	}
	if err := readers.Err(); err != nil {
		t.Fatal(err)
	}
	Await(t, 5*time.Second, "the passive's readers stand still", func() bool {
		all := allProcesses()
		return !slices.ContainsFunc(held, func(h process) bool {
			return slices.ContainsFunc(all, func(p process) bool { return p.pid == h.pid && !p.stopped() })
		})
	})
	t.Logf("answers are held: the passive's postmaster and %d readers of keys in state T", len(held)-1)
	return release
}
