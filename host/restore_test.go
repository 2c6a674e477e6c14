package host

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keytrustee/kms/seal"
	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
	"keytrustee/replication"
)

// startSurvivor is the passive of an active that is gone, database, daemon and disk.
func startSurvivor(t *testing.T) (survivor *activeHost, dead *Host) {
	t.Helper()
	a := startActive(t)
	h := newHost(t, "kt02", 2)
	if err := h.joinWith(t, a, a.token(t)); err != nil {
		t.Fatal(err)
	}
	survivor = a.lost(t, h)
	if err := os.RemoveAll(a.Home()); err != nil {
		t.Fatal(err)
	}
	return survivor, a.Host
}

// lost ends a, and starts h, which has joined it: as the passive that survives it.
func (a *activeHost) lost(t *testing.T, h *Host) (survivor *activeHost) {
	t.Helper()
	a.end()
	if err := a.server.Stop(pgtest.Context(t), postgres.Immediate); err != nil {
		t.Fatal(err)
	}
	f, err := replication.OpenState(h.StateFile())
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Update(func(s *replication.State) error { s.LastConfirmed = 1; return nil }); err != nil {
		t.Fatal(err)
	}
	survivor = &activeHost{Host: h}
	survivor.run(t)
	pgtest.Await(t, "the survivor is whole and misses its active", func() bool { return survivor.monitor.RestoreRefusal() == "" })
	return survivor
}

// bareHost has the name, the address and the ports of h, and nothing else.
func bareHost(t *testing.T, h *Host) *Host {
	t.Helper()
	b := newHost(t, h.Name, 1)
	b.ExternalAddress, b.ListenAddress, b.Port, b.ClusterPort, b.DBPort = h.ExternalAddress, h.ListenAddress, h.Port, h.ClusterPort, h.DBPort
	return b
}

func restoreOptions(t *testing.T, h *Host, survivor *activeHost) JoinOptions {
	t.Helper()
	o := joinOptions(h, survivor, survivor.token(t))
	o.Kind = Restore
	return o
}

// restored checks that h is the active that comes back out of the survivor, with all that it has, and no more.
func restored(t *testing.T, h *Host, survivor *activeHost) {
	t.Helper()
	s, pending := stateOf(t, h.StateFile()), survivor.monitor.State().Pending
	if s.Duty != replication.Active || !s.SyncEnabled || s.Peer == nil || s.Peer.Name != survivor.Name || s.Peer.Incarnation != survivor.monitor.State().Incarnation ||
		s.Peer.Key != mustKey(t, survivor.Host) || pending == nil || s.Epoch != pending.Epoch || s.Incarnation != pending.Peer.Incarnation ||
		pending.Peer.Key != mustKey(t, h) || s.Operation == nil || s.Operation.ID != survivor.monitor.State().Operation.ID {
		t.Fatalf("state %+v, admitted %+v", s, pending)
	}
	end, timeline, err := postgres.WALEnd(t.Context(), survivor.server.Installation, survivor.PGRoot)
	if err != nil {
		t.Fatal(err)
	}
	if s.Confirmed.Position != end {
		t.Errorf("it goes on at %s, and the survivor ends at %s", s.Confirmed.Position, end)
	}
	if at, err := postgres.Forked(h.PGRoot, timeline+1); err != nil || at != end {
		t.Errorf("its timeline begins at %s, and the survivor ends at %s: %v", at, end, err)
	}
	server := serve(t, h)
	if ask[bool](t, server, Database, "select pg_is_in_recovery()") {
		t.Error("it is a standby")
	}
	if got := ask[string](t, server, Database, "show synchronous_standby_names"); got != `"`+s.Epoch.StandbyName(survivor.Name)+`"` {
		t.Errorf("commits wait for %s", got)
	}
	if got := ask[string](t, server, Database, "show restore_command"); got != "" {
		t.Errorf("restore_command is %q", got)
	}
	if got := ask[string](t, server, controlDatabase, "select id from control.epoch"); got != s.Epoch.ID {
		t.Errorf("the epoch of the database is %s", got)
	}
	if n := ask[int](t, server, controlDatabase, "select count(*) from pg_replication_slots where slot_name = '"+s.Epoch.StandbyName(survivor.Name)+"'"); n != 1 {
		t.Error("there is no slot for the survivor")
	}
	root, err := seal.LoadRoot(seal.RootPath(h.Confdir))
	if err != nil {
		t.Fatal(err)
	}
	if n := ask[int](t, server, controlDatabase, "select count(*) from control.kek_wraps where recipient = '"+root.Public().Fingerprint()+"'"); n != 1 {
		t.Errorf("the database holds %d wraps for the new root key", n)
	}
	wraps, err := seal.ReadWraps(h.Confdir)
	if err != nil || len(wraps) < 3 { // of the dead active, of the survivor, and its own
		t.Errorf("%d wraps in the confdir: %v", len(wraps), err)
	}
}

func TestRestoreFromTheSurvivor(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	survivor, dead := startSurvivor(t)
	var all []string
	t.Run("whole", func(t *testing.T) {
		h := bareHost(t, dead)
		o := restoreOptions(t, h, survivor)
		all = points(t, h, func() error { return h.Join(pgtest.Context(t), o) })
		if said := o.Progress.(*stages).said; len(said) != 6 || said[4] != "restoring: recovering (5/6)" {
			t.Errorf("stages %q", said)
		}
		restored(t, h, survivor)
		if s := survivor.monitor.State(); s.Epoch.Number != 1 || s.Peer.Name != dead.Name {
			t.Errorf("the survivor has another active before one has started: %+v", s)
		}
	})

	for n, point := range all {
		if !apart(all, n) {
			continue
		}
		t.Run("after a crash "+point, func(t *testing.T) {
			h := bareHost(t, dead)
			o := restoreOptions(t, h, survivor)
			h.failpoint = crashAt(n)
			if err := h.Join(pgtest.Context(t), o); !errors.Is(err, errCrash) {
				t.Fatalf("first: %v", err)
			}
			h.failpoint = nil
			if _, _, err := h.RunDB(t.Context()); err == nil {
				t.Fatal("what was left can be started")
			}
			o.Token = survivor.token(t)
			if err := h.Join(pgtest.Context(t), o); err != nil {
				t.Fatal(err)
			}
			if j, err := h.Journal(); j != nil || err != nil {
				t.Errorf("journal %+v, %v", j, err)
			}
			restored(t, h, survivor)
		})
	}

	t.Run("a row is missing", func(t *testing.T) {
		h := bareHost(t, dead)
		o := restoreOptions(t, h, survivor)
		o.Linked = func(_ context.Context, s *postgres.Server) error {
			if ask[bool](t, s, Database, "select pg_is_in_recovery()") {
				t.Error("it was asked before it had recovered")
			}
			return errors.New("it has 3 changes whose version is not there")
		}
		hint, _ := errors.AsType[*HintedError](h.Join(pgtest.Context(t), o))
		if hint == nil || !strings.Contains(hint.Error(), "3 changes") || !strings.Contains(hint.Hint, "restore --abort") {
			t.Errorf("it was restored: %v", hint)
		}
		if _, err := os.Stat(h.StateFile()); !os.IsNotExist(err) {
			t.Errorf("there is a state file, %v", err)
		}
	})

	for _, at := range []string{"restore: before bootstrapping", "restore: recovered", "restore: before its end"} {
		t.Run("aborted "+at, func(t *testing.T) {
			h := bareHost(t, dead)
			h.failpoint = func(point string) error {
				if point == at {
					return errCrash
				}
				return nil
			}
			o := restoreOptions(t, h, survivor)
			if err := h.Join(pgtest.Context(t), o); !errors.Is(err, errCrash) {
				t.Fatal(err)
			}
			h.failpoint = nil
			aborted, err := h.Abort(pgtest.Context(t), o.Token)
			if err != nil || aborted.Untold != nil {
				t.Fatalf("%+v, %v", aborted, err)
			}
			if left := content(t, h.PGRoot); len(left) > 0 {
				t.Errorf("%d files are left of the copy", len(left))
			}
			for _, path := range []string{h.StateFile(), h.journalFile()} {
				if have, _ := exists(path); have {
					t.Errorf("%s is left", path)
				}
			}
			if s := survivor.monitor.State(); s.Pending != nil || s.Operation != nil || s.Outcome == nil || s.Outcome.Kind != replication.KindRestore || slots(t, survivor.server) != 0 {
				t.Errorf("the survivor is left with %+v and %d slots", s, slots(t, survivor.server))
			}
			if rules, err := os.ReadFile(filepath.Join(survivor.PGConf(), "pg_hba.conf")); err != nil || strings.Contains(string(rules), "hostssl") {
				t.Errorf("the survivor's line is open: %s, %v", rules, err)
			}
		})
	}
}

// TestRestoreRefuses holds who is not restored, and from whom. Nothing is changed then, on neither host.
func TestRestoreRefuses(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	survivor, dead := startSurvivor(t)
	before := survivor.monitor.State()
	tests := []struct {
		name string
		host func() *Host
		o    func(*JoinOptions)
		says string
	}{
		{"under another name", func() *Host { return newHost(t, "kt03", 3) }, func(*JoinOptions) {}, "the active of kt02 is kt01"},
		{"under the survivor's name", func() *Host { return newHost(t, "kt02", 3) }, func(*JoinOptions) {}, "a node named kt02 exists"},
		{"without a token", func() *Host { return bareHost(t, dead) }, func(o *JoinOptions) { o.Token = nil }, "there is no join token"},
		{"as a passive", func() *Host { return bareHost(t, dead) }, func(o *JoinOptions) { o.Kind = NewPassive }, "join at the active"},
		{"over what nobody knows", func() *Host {
			h := bareHost(t, dead)
			if err := os.MkdirAll(filepath.Join(h.PGRoot, "base"), 0o700); err != nil {
				t.Fatal(err)
			}
			return h
		}, func(*JoinOptions) {}, "is not empty"},
		{"at the survivor itself", func() *Host { return survivor.Host }, func(o *JoinOptions) { o.Configure = nil }, "this host is the passive"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := tt.host()
			o := restoreOptions(t, h, survivor)
			tt.o(&o)
			if err := h.Join(pgtest.Context(t), o); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want %q", err, tt.says)
			}
			if have, _ := exists(h.StateFile()); have && h != survivor.Host {
				t.Error("there is a state file")
			}
			if diff := cmp.Diff(before, survivor.monitor.State()); diff != "" {
				t.Errorf("the survivor has changed (-before +now):\n%s", diff)
			}
		})
	}
}
