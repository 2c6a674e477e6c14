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
	Await(t, 5*time.Second, "the passive's readers stand still, and none within a query", func() bool {
		readers, idle := n.readers(t, watch, spare)
		if !idle {
			return false
		}
		held = append(held[:1], readers...)
		for _, r := range readers {
			r.signal(t, unix.SIGSTOP)
		}
		Await(t, 5*time.Second, "the passive's readers stand still", func() bool { return allStand(readers) })
		// Who stands within a query may have what replay waits for.
		if _, idle := n.readers(t, watch, spare); !idle {
			for _, r := range readers {
				r.signal(t, unix.SIGCONT)
			}
			return false
		}
		return true
	})
	t.Logf("answers are held: the passive's postmaster and %d readers of keys in state T", len(held)-1)
	return release
}

// readers returns the processes that serve who else is connected to the keys' database, but for those that are spared. They are idle if each
// waits for its client, and there is none that the postmaster has started and PostgreSQL does not know yet: it may become one.
func (n *Node) readers(t testing.TB, watch *pgx.Conn, spare []*pgx.Conn) (readers []process, idle bool) {
	t.Helper()
	spared := []int{int(watch.PgConn().PID())}
	for _, c := range spare {
		spared = append(spared, int(c.PgConn().PID()))
	}
	rows, err := watch.Query(t.Context(), `SELECT pid, reads, NOT reads OR coalesce(state, '') LIKE 'idle%'
		FROM (SELECT *, coalesce(datname = current_database(), false) AND pid <> ALL ($1) AS reads FROM pg_stat_activity) AS all_of_them
		WHERE datname IS NOT NULL OR backend_type <> 'client backend'`, spared)
	if err != nil {
		t.Fatal(err)
	}
	type backend struct {
		Pid         int
		Reads, Idle bool
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[backend])
	if err != nil {
		t.Fatal(err)
	}
	known := map[int]backend{}
	for _, b := range all {
		if pid, ok := n.pair.place.outside(n, b.Pid); ok {
			known[pid] = b
		}
	}
	idle = true
	for _, p := range allProcesses() {
		if p.parent != n.Pids[PostgreSQL] || p.state == "Z" {
			continue
		}
		b := known[p.pid]
		if idle = idle && b.Idle; b.Reads {
			readers = append(readers, p)
		}
	}
	return readers, idle
}

func allStand(these []process) bool {
	return !slices.ContainsFunc(these, func(p process) bool {
		now, ok := look(p.pid)
		return ok && !now.stopped()
	})
}
