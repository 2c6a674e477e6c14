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
	main.signal(t, unix.SIGSTOP)
	Await(t, 5*time.Second, "the passive's postmaster stands still", func() bool { return allStand(held) }) // from here on no new ones
	var readers []process
	Await(t, 5*time.Second, "everybody who connects on the passive is through", func() bool {
		var all bool
		readers, all = n.readers(t, watch)
		return all
	})
	for _, r := range readers {
		if !slices.ContainsFunc(spare, func(c *pgx.Conn) bool {
			pid, ok := n.pair.place.outside(n, int(c.PgConn().PID()))
			return ok && pid == r.pid
		}) {
			held = append(held, r)
			r.signal(t, unix.SIGSTOP)
		}
	}
	Await(t, 5*time.Second, "the passive's readers stand still", func() bool { return allStand(held) })
	t.Logf("answers are held: the passive's postmaster and %d readers of keys in state T", len(held)-1)
	return release
}

// readers returns the processes that serve who else is connected to the keys' database. It is not all of them while a process that the
// postmaster has started is not known to PostgreSQL yet: it may become one.
func (n *Node) readers(t testing.TB, watch *pgx.Conn) (readers []process, all bool) {
	t.Helper()
	rows, err := watch.Query(t.Context(), `SELECT pid, datname IS NOT NULL AND pid <> pg_backend_pid() FROM pg_stat_activity
		WHERE datname IS NOT NULL OR backend_type <> 'client backend'`)
	if err != nil {
		t.Fatal(err)
	}
	known := map[int]bool{}
	var pid int
	var reads bool
	if _, err := pgx.ForEachRow(rows, []any{&pid, &reads}, func() error {
		if outside, ok := n.pair.place.outside(n, pid); ok {
			known[outside] = reads
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	all = true
	for _, p := range allProcesses() {
		if p.parent != n.Pids[PostgreSQL] || p.state == "Z" {
			continue
		}
		reads, ok := known[p.pid]
		if all = all && ok; reads {
			readers = append(readers, p)
		}
	}
	return readers, all
}

func allStand(these []process) bool {
	return !slices.ContainsFunc(these, func(p process) bool {
		now, ok := look(p.pid)
		return ok && !now.stopped()
	})
}
