package host

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
	"keytrustee/replication"
)

// serve runs the host's PostgreSQL as its service does, until the test's end.
func serve(t *testing.T, h *Host) *postgres.Server {
	t.Helper()
	path, argv, err := h.RunDB(pgtest.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	server, err := h.Server(pgtest.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, argv[1:]...)
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		if err := server.Stop(context.Background(), postgres.Fast); err != nil {
			t.Error(err)
		}
		<-ended
	})
	pgtest.Await(t, "the database accepts connections", func() bool {
		conn, err := pgx.Connect(pgtest.Context(t), server.ConnString("postgres"))
		if err == nil {
			conn.Close(t.Context())
		}
		return err == nil
	})
	return server
}

func ask[T any](t *testing.T, server *postgres.Server, db, sql string) (v T) {
	t.Helper()
	conn, err := pgx.Connect(pgtest.Context(t), server.ConnString(db))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.QueryRow(pgtest.Context(t), sql).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// bootstrapped checks that h is a new active that can be started.
func bootstrapped(t *testing.T, h *Host) {
	t.Helper()
	if j, err := h.Journal(); j != nil || err != nil {
		t.Fatalf("journal %+v, %v", j, err)
	}
	f, err := replication.OpenState(h.StateFile())
	if err != nil {
		t.Fatal(err)
	}
	if s := f.Current(); s.Duty != replication.Active || s.Epoch.Number != 1 || s.Self != h.Name || s.SyncEnabled || s.Peer != nil {
		t.Errorf("state %+v", s)
	}
	server := serve(t, h)
	if got := ask[string](t, server, Database, "show synchronous_standby_names"); got != `"kt_no_passive_yet"` {
		t.Errorf("synchronous_standby_names %s", got)
	}
	if got := ask[int](t, server, controlDatabase, "select count(*) from control.boxes"); got != 2 {
		t.Errorf("%d boxes", got)
	}
	if got := ask[int](t, server, controlDatabase, "select count(*) from control.kek_wraps"); got == 0 {
		t.Error("no wraps")
	}
	if got := ask[int](t, server, controlDatabase, "select count(*) from pg_hba_file_rules where type <> 'local'"); got != 0 {
		t.Errorf("%d access rules for the network", got)
	}
}

func TestBootstrap(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	h := newHost(t, "kt01", 1)
	if err := h.Bootstrap(t.Context()); err == nil || !strings.Contains(hintOf(err), "ktadmin init") {
		t.Fatalf("before init: %v", err)
	}
	mustInit(t, h)
	if err := h.Bootstrap(pgtest.Context(t)); err != nil {
		t.Fatal(err)
	}
	before := content(t, h.NodeDir())
	if err := h.Bootstrap(pgtest.Context(t)); err != nil {
		t.Fatalf("a second time: %v", err)
	}
	if diff := cmp.Diff(before, content(t, h.NodeDir())); diff != "" {
		t.Errorf("a second bootstrap changed files (-before +after):\n%s", diff)
	}
	bootstrapped(t, h)
}

func TestBootstrapRepeatedAfterACrash(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	first := newHost(t, "kt01", 1)
	mustInit(t, first)
	for n, point := range points(t, first, func() error { return first.Bootstrap(pgtest.Context(t)) }) {
		t.Run(point, func(t *testing.T) {
			h := newHost(t, "kt01", 1)
			mustInit(t, h)
			h.failpoint = crashAt(n)
			if err := h.Bootstrap(pgtest.Context(t)); !errors.Is(err, errCrash) {
				t.Fatalf("first bootstrap: %v", err)
			}
			h.failpoint = nil
			if _, _, err := h.RunDB(t.Context()); err == nil || !strings.Contains(hintOf(err), "ktadmin db --bootstrap") {
				t.Fatalf("what was left can be started: %v", err)
			}
			if j, err := h.Journal(); err != nil || j == nil {
				t.Fatalf("journal %v, %v", j, err)
			} else if j.Making == h.PGRoot { // the crash came in the middle of initdb
				if err := os.MkdirAll(filepath.Join(h.PGRoot, "base"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if err := h.Bootstrap(pgtest.Context(t)); err != nil {
				t.Fatal(err)
			}
			bootstrapped(t, h)
		})
	}
}

func TestBootstrapRefuses(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	h := newHost(t, "kt01", 1)
	mustInit(t, h)
	mine := filepath.Join(h.PGRoot, "thesis.txt")
	if err := os.MkdirAll(h.PGRoot, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(mine, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := h.Bootstrap(t.Context())
	if err == nil || !strings.Contains(err.Error(), "is not empty") || hintOf(err) == "" {
		t.Fatalf("error %v", err)
	}
	if _, err := os.Stat(mine); err != nil {
		t.Error(err)
	}
	if have, _ := exists(h.StateFile()); have {
		t.Error("there is a state file")
	}
}

func TestRunDBRefuses(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	h := newHost(t, "kt01", 1)
	if err := os.MkdirAll(h.NodeDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	refused := func(name, says string) {
		t.Helper()
		before := content(t, h.PGConf())
		_, _, err := h.RunDB(pgtest.Context(t))
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", name, err, says)
		}
		if diff := cmp.Diff(before, content(t, h.PGConf())); diff != "" {
			t.Errorf("%s changed the configuration:\n%s", name, diff)
		}
	}
	refused("nothing yet", "this host is of no pair yet")
	mustInit(t, h)
	refused("only initialized", "this host is of no pair yet")
	if err := h.Bootstrap(pgtest.Context(t)); err != nil {
		t.Fatal(err)
	}
	path, argv, err := h.RunDB(pgtest.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Base(path) != "postgres" || argv[0] != path {
		t.Errorf("command %s %v", path, argv)
	}

	change := func(do, undo func() error, name, says string) {
		t.Helper()
		if err := do(); err != nil {
			t.Fatal(err)
		}
		refused(name, says)
		if err := undo(); err != nil {
			t.Fatal(err)
		}
	}
	signal := filepath.Join(h.PGRoot, "standby.signal")
	change(func() error { return os.WriteFile(signal, nil, 0o600) }, func() error { return os.Remove(signal) },
		"an active with standby.signal", "starts as a standby")
	state := func(f func(*replication.State)) error {
		file, err := replication.OpenState(h.StateFile())
		if err != nil {
			return err
		}
		return file.Update(func(s *replication.State) error { f(s); return nil })
	}
	change(func() error {
		return state(func(s *replication.State) {
			s.Fenced = &replication.Fence{Reason: replication.EpochConflict, Detail: "two epochs"}
		})
	}, func() error { return state(func(s *replication.State) { s.Fenced = nil }) }, "a fenced host", "is fenced (epoch_conflict): two epochs")
	change(func() error { return state(func(s *replication.State) { s.SystemID++ }) }, func() error { return state(func(s *replication.State) { s.SystemID-- }) },
		"data of another database", "is of another database")
	change(func() error { return h.saveJournal(&Journal{Operation: joinOperation, Step: "initial sync"}) }, func() error { return os.Remove(h.journalFile()) },
		"half a join", "join has not ended")
	machine := filepath.Join(h.NodeDir(), "machine")
	kept, err := os.ReadFile(machine)
	if err != nil {
		t.Fatal(err)
	}
	change(func() error { return os.WriteFile(machine, []byte("another"), 0o600) }, func() error { return os.WriteFile(machine, kept, 0o600) },
		"another host's files", "was made on another machine")
	change(func() error { return os.Remove(machine) }, func() error { return os.WriteFile(machine, kept, 0o600) },
		"files that are bound to no machine", "is missing: nothing says that the data was made on this machine")
	bootstrapped(t, h)
}
