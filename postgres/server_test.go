package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

func TestServer(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t, pgtest.Options{Listen: []string{"127.0.0.1"}})
	start := func(t *testing.T) {
		t.Helper()
		if err := s.Start(pgtest.Context(t)); err != nil {
			t.Fatal(err)
		}
	}
	pid := func(t *testing.T) int {
		t.Helper()
		pid, running := s.Pid()
		if !running {
			t.Fatal("the server does not run")
		}
		return pid
	}

	t.Run("its database has checksums and two roles", func(t *testing.T) {
		if c, err := postgres.ReadControl(t.Context(), s.Installation, s.Data); err != nil || !c.Checksums || c.SystemID == 0 || c.Timeline != 1 {
			t.Errorf("the control file says %+v, %v", c, err)
		}
		got := query[string](t, s, `SELECT string_agg(rolname || ' ' || rolsuper || ' ' || rolreplication || ' ' || (rolpassword IS NULL), ', ' ORDER BY rolname) FROM pg_authid WHERE rolcanlogin`)
		if want := "ktrepl false true true, ktsuper true true true"; got != want {
			t.Errorf("the roles are %q, want %q", got, want)
		}
	})
	t.Run("its settings are in force", func(t *testing.T) {
		for name, want := range map[string]string{
			"synchronous_commit": "remote_apply", "restart_after_crash": "off", "fsync": "on", "max_slot_wal_keep_size": "1GB",
			"wal_sender_timeout": "2s", "data_checksums": "on", "lc_collate": "C", "server_encoding": "UTF8", "superuser_reserved_connections": "5",
			"authentication_timeout": "5s", "log_error_verbosity": "terse",
		} {
			if got := query[string](t, s, `SELECT current_setting($1)`, name); got != want {
				t.Errorf("%s is %s, want %s", name, got, want)
			}
		}
	})
	t.Run("it has a session of its own", func(t *testing.T) {
		if sid, err := unix.Getsid(pid(t)); err != nil || sid != pid(t) {
			t.Errorf("the session is %d, %v, want %d", sid, err, pid(t))
		}
	})
	t.Run("to start what runs is no error, and to stop what does not", func(t *testing.T) {
		before := pid(t)
		start(t)
		if pid(t) != before {
			t.Error("another server runs")
		}
		stop(t, s, postgres.Fast)
		stop(t, s, postgres.Fast)
		if _, running := s.Pid(); running {
			t.Error("it runs")
		}
		start(t)
	})
	t.Run("a setting of ALTER SYSTEM ends with the next start", func(t *testing.T) {
		exec(t, s, `ALTER SYSTEM SET synchronous_standby_names = 'foreign'`)
		stop(t, s, postgres.Fast)
		start(t)
		if got := query[string](t, s, `SHOW synchronous_standby_names`); got != "" {
			t.Errorf("synchronous_standby_names is %q", got)
		}
	})
	t.Run("a killed server starts again", func(t *testing.T) {
		killed := pid(t)
		if err := unix.Kill(killed, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		pgtest.Await(t, "it is dead", func() bool { _, running := s.Pid(); return !running })
		start(t)
		if pid(t) == killed {
			t.Error("the old server runs")
		}
	})
	t.Run("a postmaster.pid that names somebody else is not believed", func(t *testing.T) {
		stop(t, s, postgres.Fast)
		path := filepath.Join(s.Data, "postmaster.pid")
		if err := os.WriteFile(path, fmt.Appendln(nil, os.Getpid()), 0o600); err != nil {
			t.Fatal(err)
		}
		if found, running := s.Pid(); running {
			t.Errorf("process %d is taken for the server", found)
		}
		stop(t, s, postgres.Immediate) // or this test would end here
		start(t)
	})
	t.Run("a port in use", func(t *testing.T) {
		stop(t, s, postgres.Fast)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)))
		if err != nil {
			t.Fatal(err)
		}
		wantSetupError(t, s.Start(pgtest.Context(t)), fmt.Sprintf("port %d of 127.0.0.1 is in use", s.Port))
		time.AfterFunc(100*time.Millisecond, func() { l.Close() }) // as the kernel does for a server that was just killed
		start(t)
	})
	t.Run("an address of another host", func(t *testing.T) {
		other := *s
		other.Data, other.Listen, other.Port = copyOf(t, s), []string{"192.0.2.1"}, pgtest.FreePort(t)
		wantSetupError(t, other.Start(pgtest.Context(t)), "192.0.2.1 is no address of this host")
	})
	t.Run("a fault in the settings ends the start, with the log's words", func(t *testing.T) {
		stop(t, s, postgres.Fast)
		defer func() { pgtest.Configure(t, s, pgtest.Options{}); start(t) }()
		pgtest.Configure(t, s, pgtest.Options{Settings: postgres.Settings{Extra: map[string]string{"wal_level": "none of these"}}})
		err := s.Start(pgtest.Context(t))
		if err == nil || !strings.Contains(err.Error(), "none of these") {
			t.Errorf("starting: %v, want what the log says", err)
		}
		if _, running := s.Pid(); running {
			t.Error("it runs")
		}
	})
	t.Run("who may not log in does not start it", func(t *testing.T) {
		stop(t, s, postgres.Fast)
		stranger := *s
		stranger.Admins = []string{"nobody_at_all"}
		defer func() { pgtest.Configure(t, s, pgtest.Options{}); start(t) }()
		pgtest.Configure(t, &stranger, pgtest.Options{})
		if err := stranger.Start(pgtest.Context(t)); err == nil || !strings.Contains(err.Error(), "ktsuper") {
			t.Errorf("starting: %v, want the refusal", err)
		}
		if _, running := s.Pid(); running {
			t.Error("it runs")
		}
	})
	t.Run("a context that ends ends the start", func(t *testing.T) {
		stop(t, s, postgres.Fast)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Start(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("starting: %v", err)
		}
		if _, running := s.Pid(); running {
			t.Error("it runs")
		}
		start(t)
	})
	t.Run("a read-only pool does not write", func(t *testing.T) {
		pool, err := postgres.NewPool(t.Context(), postgres.PoolConfig{
			ConnString: s.ConnString("postgres"), ReadOnly: true, Params: map[string]string{"application_name": "reader"},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer pool.Close()
		if _, err := pool.Exec(pgtest.Context(t), `CREATE TABLE t (n int)`); err == nil || !strings.Contains(err.Error(), "25006") {
			t.Errorf("writing: %v, want 25006", err)
		}
		var name string
		if err := pool.QueryRow(pgtest.Context(t), `SHOW application_name`).Scan(&name); err != nil || name != "reader" {
			t.Errorf("application_name is %q, %v", name, err)
		}
	})
}

// copyOf is a copy of a stopped or running server's data directory that is good enough to be refused.
func copyOf(t *testing.T, s *postgres.Server) string {
	t.Helper()
	dir := filepath.Join(pgtest.Dir(t), "data")
	content, err := os.ReadFile(filepath.Join(s.Data, "PG_VERSION"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "PG_VERSION"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestRefusals makes no database: each is refused before anything is changed.
func TestRefusals(t *testing.T) {
	t.Parallel()
	init := func(t *testing.T, s *postgres.Server, sentence string) {
		t.Helper()
		wantSetupError(t, s.Init(pgtest.Context(t)), sentence)
		if entries, err := os.ReadDir(s.Data); err == nil && len(entries) > 1 {
			t.Errorf("the data directory holds %v", entries)
		}
	}
	t.Run("a data directory that is not empty", func(t *testing.T) {
		s := pgtest.Server(t, pgtest.Options{})
		if err := os.Mkdir(s.Data, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(s.Data, "mine"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		init(t, s, s.Data+" is not empty")
		if _, err := os.Stat(filepath.Join(s.Data, "mine")); err != nil {
			t.Error(err)
		}
	})
	t.Run("a closed directory above", func(t *testing.T) {
		s := pgtest.Server(t, pgtest.Options{})
		closed := filepath.Join(pgtest.Dir(t), "closed")
		if err := os.Mkdir(closed, 0); err != nil {
			t.Fatal(err)
		}
		s.Data = filepath.Join(closed, "below", "data")
		init(t, s, "can not enter "+closed)
	})
	t.Run("a socket's path that is too long", func(t *testing.T) {
		s := pgtest.Server(t, pgtest.Options{})
		s.Socket = filepath.Join(s.Socket, strings.Repeat("x", 100))
		init(t, s, "the kernel allows 107")
	})
	t.Run("a socket directory that others may write to", func(t *testing.T) {
		s := pgtest.Server(t, pgtest.Options{})
		if err := os.Mkdir(s.Socket, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(s.Socket, 0o777|os.ModeSticky); err != nil { // as /tmp
			t.Fatal(err)
		}
		init(t, s, "other users may write to the directory "+s.Socket)
	})
	t.Run("a relative path", func(t *testing.T) {
		s := pgtest.Server(t, pgtest.Options{})
		s.Data = "data"
		init(t, s, "no absolute path")
	})
	t.Run("root", func(t *testing.T) {
		s := pgtest.Server(t, pgtest.Options{})
		s.RunAs = &postgres.OSUser{Name: "root"}
		init(t, s, "refuses to run as root")
	})
	t.Run("no database", func(t *testing.T) {
		s := pgtest.Server(t, pgtest.Options{})
		wantSetupError(t, s.Start(pgtest.Context(t)), "there is no database in "+s.Data)
	})
	t.Run("a database of another version", func(t *testing.T) {
		s := pgtest.Server(t, pgtest.Options{})
		if err := os.Mkdir(s.Data, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(s.Data, "PG_VERSION"), []byte("14\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		wantSetupError(t, s.Start(pgtest.Context(t)), "is of PostgreSQL 14")
		_, err := postgres.FindFor(t.Context(), s.Data)
		wantSetupError(t, err, "is of PostgreSQL 14")
	})
	t.Run("an initdb that fails leaves nothing", func(t *testing.T) {
		s := pgtest.Server(t, pgtest.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Init(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("initdb: %v", err)
		}
		if _, err := os.Stat(s.Data); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the data directory is there: %v", err)
		}
	})
}

// TestConnString writes what has to be read back.
func TestConnString(t *testing.T) {
	want := `it's a "\" of /tmp`
	config, err := pgx.ParseConfig(postgres.ConnString("host", "/tmp", "dbname", want))
	if err != nil || config.Database != want {
		t.Errorf("the database is %v, %v, want %s", config, err, want)
	}
}
