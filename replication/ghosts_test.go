package replication_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keytrustee/postgres"
	"keytrustee/replication"
)

// TestGhosts ends the wait of a COMMIT for the standby in every way that PostgreSQL knows, with a passive that stands still
// and then is dead: the rows are there for PostgreSQL, are never acknowledged, and are never shown.
func TestGhosts(t *testing.T) {
	p := newPair(t)
	w := p.active.newWriter()
	for range 10 {
		w.must()
	}
	admin := p.active.connect()
	p.passive.freeze("")
	var ghosts []*write
	var pids []int
	for range 4 {
		g, _ := w.begin()
		if g.refused != nil {
			t.Fatal(g.refused)
		}
		ghosts = append(ghosts, g)
	}
	for _, g := range ghosts {
		pids = append(pids, p.backendOf(admin, g))
	}
	for i, how := range []string{"pg_cancel_backend", "pg_terminate_backend"} {
		if _, err := admin.Exec(t.Context(), "select "+how+"($1)", pids[i]); err != nil {
			t.Fatal(err)
		}
		await(t, "ghost", func() error {
			if !p.active.present(ghosts[i]) {
				return errors.New("not there")
			}
			return nil
		})
		t.Logf("evidence: after %s the row of xid %s is there for PostgreSQL", how, ghosts[i].xid)
		for range 5 {
			w.check(p.active, ghosts...)
			time.Sleep(100 * time.Millisecond)
		}
	}
	for _, pid := range p.passive.processes("") {
		unix.Kill(pid, unix.SIGKILL)
	}
	t.Log("evidence: the passive's PostgreSQL was killed")
	if err := unix.Kill(pids[2], unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await(t, "end of the active's PostgreSQL", func() error {
		if pid, running := p.active.server.Pid(); running {
			return fmt.Errorf("process %d runs", pid)
		}
		return nil
	})
	t.Log("evidence: a backend was killed and the server ended, restart_after_crash being off")

	alone := func(what string) {
		t.Helper()
		p.active.startServer()
		await(t, "the filter", func() error {
			if items, why := p.active.shown(); len(items) == 0 {
				return why
			}
			return nil
		})
		for _, g := range ghosts {
			if !p.active.present(g) {
				t.Errorf("%s: no ghost of xid %s: the test shows nothing", what, g.xid)
			}
		}
		for range 10 {
			w.check(p.active, ghosts...)
			time.Sleep(50 * time.Millisecond)
		}
		if _, why := p.active.shown(); why == nil {
			t.Errorf("%s: the host is certain that what it does not show does not exist", what)
		}
		t.Logf("evidence: %s, all %d ghosts are there for PostgreSQL", what, len(ghosts))
	}
	alone("after kill -9 of a backend and a start beside a dead passive")
	p.active.stopServer(postgres.Immediate)
	alone("after an immediate stop and a start")
	p.active.stopServer(postgres.Fast)
	alone("after a fast stop and a start")

	p.active.stop()
	p.active.stopServer(postgres.Immediate)
	p.active.startDaemon() // hours before its database
	p.active.awaitReason(replication.Starting)
	alone("cold, daemon and database")

	p.passive.startServer()
	p.awaitOpen()
	w.must()
	await(t, "the ghosts on both hosts", func() error {
		for _, h := range []*host{p.active, p.passive} {
			items, err := h.shown()
			for _, g := range ghosts {
				if err == nil && !items[g.id] {
					err = fmt.Errorf("%s does not show xid %s", h.name, g.xid)
				}
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	w.check(p.active)
	w.check(p.passive)
}
