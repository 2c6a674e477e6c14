package host

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keytrustee/certs"
	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
	"keytrustee/replication"
)

// adopt is what the pair does when the copy of the host that was admitted has started.
func (a *activeHost) adopt(t *testing.T) {
	t.Helper()
	err := a.state.Update(func(s *replication.State) error {
		s.Peer, s.Epoch, s.Pending = &s.Pending.Peer, s.Pending.Epoch, nil
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// compared is what the pair does when that copy has been compared with this start of the active's database.
func (a *activeHost) compared(t *testing.T) {
	t.Helper()
	pid, ok := a.server.Pid()
	if !ok {
		t.Fatal("the database does not run")
	}
	start, err := replication.StartID(pid)
	if err == nil {
		err = a.state.Update(func(s *replication.State) error {
			s.Compared = &replication.Compared{Active: start, Passive: "p", Incarnation: s.Peer.Incarnation}
			return nil
		})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// restart stops the active's database, and starts it when it was changed.
func (a *activeHost) restart(t *testing.T, change func()) {
	t.Helper()
	if err := a.server.Stop(pgtest.Context(t), postgres.Fast); err != nil {
		t.Fatal(err)
	}
	change()
	if err := a.server.Start(pgtest.Context(t)); err != nil {
		t.Fatal(err)
	}
	pgtest.Await(t, "the daemon sees its database", func() bool {
		r := a.monitor.Report()
		return r.Local.Answers && r.Local.Start == r.Standing.Start && r.Age < time.Second
	})
}

// passiveOf is a passive that has joined a, stopped, with a file of its own in its data.
func passiveOf(t *testing.T, a *activeHost) *Host {
	t.Helper()
	h := newHost(t, "kt02", 2)
	if err := h.joinWith(t, a, a.token(t)); err != nil {
		t.Fatal(err)
	}
	a.adopt(t)
	mark(t, h)
	return h
}

const evidence = "evidence" // a file that no copy has

func mark(t *testing.T, h *Host) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(h.PGRoot, evidence), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func marked(t *testing.T, dir string) bool {
	t.Helper()
	have, err := exists(filepath.Join(dir, evidence))
	if err != nil {
		t.Fatal(err)
	}
	return have
}

func stateOf(t *testing.T, file string) replication.State {
	t.Helper()
	f, err := replication.OpenState(file)
	if err != nil {
		t.Fatal(err)
	}
	return f.Current()
}

// asides are the directories that the data of h was moved to.
func asides(t *testing.T, h *Host) []string {
	t.Helper()
	all, err := filepath.Glob(h.PGRoot + ".aside-*")
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(path string) bool { return strings.HasSuffix(path, ".json") })
}

func recloneOptions(h *Host, a *activeHost) JoinOptions {
	o := joinOptions(h, a, nil)
	o.Kind = Reclone
	return o
}

// slots are the replication slots of the server.
func slots(t *testing.T, s *postgres.Server) int {
	t.Helper()
	return ask[int](t, s, controlDatabase, "select count(*) from pg_replication_slots")
}

func TestRecloneMovesTheOldDataAside(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	a := startActive(t)
	h := passiveOf(t, a)
	before, key := stateOf(t, h.StateFile()), mustKey(t, h)

	lock, err := h.lockDB(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = h.Join(pgtest.Context(t), recloneOptions(h, a))
	if err == nil || !strings.Contains(hintOf(err), "systemctl stop keytrusteed keytrustee-db") {
		t.Fatalf("while PostgreSQL may run: %v (hint %q)", err, hintOf(err))
	}
	lock.Close()
	if err := h.Join(pgtest.Context(t), joinOptions(h, a, a.token(t))); err == nil || !strings.Contains(hintOf(err), "ktadmin init-slave --reclone") {
		t.Fatalf("a join over data: %v (hint %q)", err, hintOf(err))
	}
	if len(asides(t, h)) != 0 || !marked(t, h.PGRoot) {
		t.Fatal("a refusal has moved data")
	}

	for _, path := range h.bindingFiles() { // the system of the host was installed anew
		if err := os.WriteFile(path, []byte("of the old system\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := recloneOptions(h, a)
	if err := h.Join(pgtest.Context(t), o); err != nil {
		t.Fatal(err)
	}
	if err := h.CheckOwn(); err != nil {
		t.Errorf("what was copied here: %v", err)
	}
	if said := o.Progress.(*stages).said; len(said) != 5 || said[0] != "re-cloning: creating (1/5)" {
		t.Errorf("stages %q", said)
	}
	aside := asides(t, h)
	if len(aside) != 1 || !marked(t, aside[0]) || marked(t, h.PGRoot) {
		t.Fatalf("moved aside: %q", aside)
	}
	if diff := cmp.Diff(before, stateOf(t, asideState(aside[0]))); diff != "" {
		t.Errorf("the state beside the data that was moved (-before +now):\n%s", diff)
	}
	if mustKey(t, h) != key {
		t.Error("the passive has another key, and the active would take it for a stranger")
	}
	joined(t, h, a)
}

func mustKey(t *testing.T, h *Host) string {
	t.Helper()
	key, err := h.ownKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestRecloneOfWhoMayNot: neither a host that is the passive no longer, nor an active that nobody has replaced, nor one of no pair
// is cloned anew by its own word; one that was replaced comes back with a token.
func TestRecloneOfWhoMayNot(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	a := startActive(t)
	h := passiveOf(t, a)
	refused := func(what, says string, h *Host, o JoinOptions) {
		t.Helper()
		if err := h.Join(pgtest.Context(t), o); err == nil || !strings.Contains(err.Error(), says) || hintOf(err) == "" {
			t.Errorf("%s: %v (hint %q), want %q", what, err, hintOf(err), says)
		}
		if !marked(t, h.PGRoot) || len(asides(t, h)) > 0 || a.monitor.State().Pending != nil {
			t.Fatalf("%s: something was changed", what)
		}
		if j, err := h.Journal(); j != nil || err != nil {
			t.Errorf("%s: journal %+v, %v", what, j, err)
		}
	}
	update := func(f *replication.StateFile, change func(*replication.State)) {
		t.Helper()
		if err := f.Update(func(s *replication.State) error { change(s); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	own, err := replication.OpenState(h.StateFile())
	if err != nil {
		t.Fatal(err)
	}

	bare := newHost(t, "kt03", 3)
	if err := bare.Join(pgtest.Context(t), recloneOptions(bare, a)); err == nil || !strings.Contains(err.Error(), "of no pair") {
		t.Errorf("a bare host: %v", err)
	}
	update(a.state, func(s *replication.State) { s.Peer.Key = "another" })
	refused("one that was replaced", "is not the passive of kt01", h, recloneOptions(h, a))

	update(own, func(s *replication.State) { s.Duty = replication.Active })
	refused("an active", "nothing says that another one has taken its place", h, recloneOptions(h, a))
	update(own, func(s *replication.State) {
		s.Fenced = &replication.Fence{Reason: replication.EpochConflict, Detail: "replaced"}
	})
	refused("a fenced active without a token", "needs a join token", h, recloneOptions(h, a))

	a.compared(t)
	o := recloneOptions(h, a)
	update(own, func(s *replication.State) { s.Epoch.Number = 7 })
	o.Token = a.token(t)
	if err := h.Join(pgtest.Context(t), o); err == nil || !strings.Contains(err.Error(), "this host was of 7-") {
		t.Errorf("at an active that is behind: %v", err)
	}
	if !marked(t, h.PGRoot) {
		t.Fatal("the newer data was moved")
	}
	update(own, func(s *replication.State) { s.Epoch.Number = 1 })
	if err := h.Join(pgtest.Context(t), o); err != nil { // again with the same token: its attempt broke off
		t.Fatalf("a fenced active with a token: %v", err)
	}
	joined(t, h, a)
}

// TestRecloneIsNotForTheGoodCopy: while the active knows that the passive holds what it lacks, no copy of the active takes its place
// by the passive's own word.
func TestRecloneIsNotForTheGoodCopy(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	a := startActive(t)
	h := passiveOf(t, a)
	err := a.state.Update(func(s *replication.State) error {
		s.Confirmed.Position = 1 << 60 // this start ends below it: an older copy
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.server.Stop(pgtest.Context(t), postgres.Fast); err != nil {
		t.Fatal(err)
	}
	if err := a.server.Start(pgtest.Context(t)); err != nil {
		t.Fatal(err)
	}
	pgtest.Await(t, "the active knows that it is behind", func() bool { return a.monitor.Report().Standing.Below != "" })
	if err := h.Join(pgtest.Context(t), recloneOptions(h, a)); err == nil || !strings.Contains(err.Error(), "its data is an older copy") {
		t.Errorf("from an older copy: %v", err)
	}
	if !marked(t, h.PGRoot) {
		t.Error("the good copy was moved")
	}
}

// TestRecloneOfWhatTheActiveLacks: an older copy of the active's data, also one that has overtaken the passive, takes the place of no
// data that goes on beyond it, or went another way, in whichever directory the new copy is to lie. The passive's log says so itself: the
// two have not met since the active's database started. Where that log can not be read, an active that was not compared lets nobody in;
// a token that replaces does, and what was the passive's state is kept.
func TestRecloneOfWhatTheActiveLacks(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	a := startActive(t)
	older := a.PGRoot + ".older"
	a.restart(t, func() { copyData(t, a.PGRoot, older) })
	a.writes(t)
	h := passiveOf(t, a)
	before := stateOf(t, h.StateFile())
	elsewhere := func(token *certs.Token) (*Host, JoinOptions) {
		moved := *h
		moved.PGRoot = h.PGRoot + "2"
		o := joinOptions(&moved, a, token)
		o.Former = h.PGRoot
		return &moved, o
	}
	refused := func(h *Host, o JoinOptions, says string) {
		t.Helper()
		err := h.Join(pgtest.Context(t), o)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Fatalf("%v, want %q", err, says)
		}
		t.Logf("evidence: %v", err)
		if diff := cmp.Diff(before, stateOf(t, h.StateFile())); diff != "" {
			t.Errorf("the state (-before +now):\n%s", diff)
		}
		if j, err := h.Journal(); j != nil || err != nil || len(asides(t, h)) > 0 || a.monitor.State().Pending != nil {
			t.Fatalf("journal %+v, %v; aside %q; at the active %+v", j, err, asides(t, h), a.monitor.State().Pending)
		}
	}
	everywhere := func(says string) {
		t.Helper()
		refused(h, recloneOptions(h, a), says)
		token := a.token(t)
		o := recloneOptions(h, a)
		o.Token = token
		refused(h, o, says)
		moved, o := elsewhere(token)
		refused(moved, o, says)
	}

	a.restart(t, func() {
		if err := os.RemoveAll(a.PGRoot); err != nil {
			t.Fatal(err)
		}
		copyData(t, older, a.PGRoot)
	})
	everywhere("the good copy is the one on kt02")

	end, _, err := postgres.WALEnd(t.Context(), a.server.Installation, h.PGRoot)
	if err != nil {
		t.Fatal(err)
	}
	for ask[bool](t, a.server, Database, "select pg_current_wal_flush_lsn() <= '"+end.String()+"'") {
		a.writes(t)
	}
	everywhere("are not one history")

	control := filepath.Join(h.PGRoot, "global", "pg_control")
	if err := os.Rename(control, control+".lost"); err != nil {
		t.Fatal(err)
	}
	everywhere("has not been compared with that of kt02")
	if !marked(t, h.PGRoot) {
		t.Error("the good copy was moved")
	}

	token, err := a.admitter.newToken(pgtest.Context(t), true, 0)
	if err != nil {
		t.Fatal(err)
	}
	moved, o := elsewhere(token)
	moved.failpoint = func(point string) error {
		if point == "join: before its end" {
			return errCrash
		}
		return nil
	}
	if err := moved.Join(pgtest.Context(t), o); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	moved.failpoint = nil
	if _, err := moved.Abort(pgtest.Context(t), token); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, stateOf(t, h.StateFile())); diff != "" {
		t.Errorf("the state after a join that was given up (-before +now):\n%s", diff)
	}
	if token, err = a.admitter.newToken(pgtest.Context(t), true, 0); err != nil {
		t.Fatal(err)
	}
	moved, o = elsewhere(token)
	if err := moved.Join(pgtest.Context(t), o); err != nil {
		t.Fatal(err)
	}
	kept, err := filepath.Glob(filepath.Join(h.NodeDir(), "state.aside-*.json"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("kept: %q, %v", kept, err)
	}
	if diff := cmp.Diff(before, stateOf(t, kept[0])); diff != "" {
		t.Errorf("the state that was kept (-before +now):\n%s", diff)
	}
	joined(t, moved, a)
}

// TestRecloneOfAnotherHistory: an active that was compared has all that was acknowledged. A passive whose database has gone its own
// way since gives that up by a word of the operator all the same.
func TestRecloneOfAnotherHistory(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	a := startActive(t)
	h := passiveOf(t, a)
	a.compared(t)
	server, err := h.Server(pgtest.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.RunDB(pgtest.Context(t)); err != nil {
		t.Fatal(err)
	}
	if err := server.Start(pgtest.Context(t)); err != nil {
		t.Fatal(err)
	}
	ask[bool](t, server, Database, "select pg_promote()")
	if err := server.Stop(pgtest.Context(t), postgres.Fast); err != nil {
		t.Fatal(err)
	}
	if err := h.Join(pgtest.Context(t), recloneOptions(h, a)); err == nil || !strings.Contains(err.Error(), "are not one history") {
		t.Errorf("of another history: %v", err)
	}
	if !marked(t, h.PGRoot) {
		t.Error("its data was moved")
	}
}

// writes adds to the log of the active, without a commit, which would wait for a passive.
func (a *activeHost) writes(t *testing.T) {
	t.Helper()
	ask[string](t, a.server, Database, "select pg_switch_wal()::text from pg_logical_emit_message(false, 'keytrustee', 'more')")
}

func copyData(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func TestRecloneRepeatedAfterACrash(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	a := startActive(t)
	h := passiveOf(t, a)
	all := points(t, h, func() error { return h.Join(pgtest.Context(t), recloneOptions(h, a)) })
	if len(all) < 10 {
		t.Fatalf("only %d points: %v", len(all), all)
	}
	for n, point := range all {
		if !apart(all, n) {
			continue
		}
		t.Run(point, func(t *testing.T) {
			a.adopt(t)
			mark(t, h)
			before := len(asides(t, h))
			h.failpoint = crashAt(n)
			if err := h.Join(pgtest.Context(t), recloneOptions(h, a)); !errors.Is(err, errCrash) {
				t.Fatalf("first: %v", err)
			}
			h.failpoint = nil
			if _, _, err := h.RunDB(t.Context()); err == nil {
				t.Fatal("what was left can be started")
			}
			if err := h.Join(pgtest.Context(t), recloneOptions(h, a)); err != nil {
				t.Fatal(err)
			}
			if aside := asides(t, h); len(aside) != before+1 || !marked(t, aside[len(aside)-1]) || marked(t, h.PGRoot) {
				t.Errorf("moved aside: %q", aside)
			}
			if j, err := h.Journal(); j != nil || err != nil {
				t.Errorf("journal %+v, %v", j, err)
			}
			if got, want := stateOf(t, h.StateFile()), a.monitor.State().Pending; got.Incarnation != want.Peer.Incarnation || got.Epoch != want.Epoch {
				t.Errorf("state %+v, admitted %+v", got, want)
			}
			for _, dir := range asides(t, h) { // the disk of a test is small
				os.RemoveAll(dir)
				os.Remove(asideState(dir))
			}
		})
	}
}

// TestAsideName: what was moved aside in this very second is not what the next one is called.
func TestAsideName(t *testing.T) {
	path, names := filepath.Join(t.TempDir(), "db"), map[string]bool{}
	for range 3 {
		name, err := asideName(path, ".json")
		if err != nil {
			t.Fatal(err)
		}
		if names[name] || !strings.HasPrefix(name, path+".aside-") || !strings.HasSuffix(name, ".json") {
			t.Errorf("%s beside %v", name, names)
		}
		names[name] = true
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
