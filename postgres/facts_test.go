package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// absent is the synchronous standby that never comes: every COMMIT waits.
var absent = pgtest.Options{Settings: postgres.Settings{SynchronousStandbyNames: `"kt_absent"`}}

// TestWaitingCommit holds what PostgreSQL and pgx do with a COMMIT that waits for its standby. All that the pair promises
// stands on these facts; a new version of either that changes one has to be looked at.
func TestWaitingCommit(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t, absent)
	prepare(t, s)

	t.Run("a cancelled wait is a success with a WARNING", func(t *testing.T) {
		w := beginWrite(t, s, true)
		done := w.commit(context.Background())
		pid := awaitWaiter(t, s)
		exec(t, s, `SELECT pg_cancel_backend($1)`, pid)
		if err := <-done; err != nil {
			t.Errorf("COMMIT: %v, want success", err)
		}
		if n := w.notice(); n == nil || n.Code != "01000" || n.Severity != "WARNING" {
			t.Errorf("the notice is %+v, want WARNING 01000", n)
		}
		wantVisible(t, s, w.id, true)
	})

	t.Run("a terminated wait is a closed connection that pgx calls safe to retry", func(t *testing.T) {
		w := beginWrite(t, s, true)
		done := w.commit(context.Background())
		exec(t, s, `SELECT pg_terminate_backend($1)`, awaitWaiter(t, s))
		err := <-done
		if err == nil || !pgconn.SafeToRetry(err) {
			t.Errorf("COMMIT: %v, safe to retry: %v, want an error that is", err, pgconn.SafeToRetry(err))
		}
		if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
			t.Errorf("COMMIT: %v, want no answer of the server's", refused)
		}
		wantVisible(t, s, w.id, true)
	})

	t.Run("a deadline behind a seal leaves the row invisible and the backend waiting", func(t *testing.T) {
		w := beginWrite(t, s, true)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if err := <-w.commit(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("COMMIT: %v, want the deadline", err)
		}
		pid := awaitWaiter(t, s)
		awaitWaitingFor(t, s, pid, time.Second) // well after any cancel request would have come
		wantVisible(t, s, w.id, false)
	})

	t.Run("a deadline without the seal makes the row visible", func(t *testing.T) {
		w := beginWrite(t, s, false)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if err := <-w.commit(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("COMMIT: %v, want the deadline", err)
		}
		pgtest.Await(t, "pgx's cancel request ends the wait", func() bool { return visible(t, s, w.id) })
	})

	t.Run("a client that goes away leaves the backend waiting", func(t *testing.T) {
		w := beginWrite(t, s, true)
		done := w.commit(context.Background())
		pid := awaitWaiter(t, s)
		w.conn.Conn().PgConn().Conn().Close()
		if err := <-done; err == nil {
			t.Error("COMMIT succeeds on a closed connection")
		}
		awaitWaitingFor(t, s, pid, time.Second)
		wantVisible(t, s, w.id, false)
	})

	t.Run("statement_timeout does not end the wait", func(t *testing.T) {
		w := beginWrite(t, s, true)
		if _, err := w.tx.Exec(t.Context(), `SET LOCAL statement_timeout = '100ms'`); err != nil {
			t.Fatal(err)
		}
		done := w.commit(context.Background())
		pid := awaitWaiter(t, s)
		awaitWaitingFor(t, s, pid, time.Second)
		wantVisible(t, s, w.id, false)
		select {
		case err := <-done:
			t.Errorf("COMMIT: %v, want it waiting", err)
		default:
		}
	})

	t.Run("emptied synchronous_standby_names are a success without a WARNING", func(t *testing.T) {
		w := beginWrite(t, s, true)
		done := w.commit(context.Background())
		awaitWaiter(t, s)
		pgtest.Configure(t, s, pgtest.Options{})
		if err := s.Reload(pgtest.Context(t)); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Errorf("COMMIT: %v, want success", err)
		}
		if n := w.notice(); n != nil {
			t.Errorf("the notice is %+v, want none", n)
		}
		wantVisible(t, s, w.id, true)
		pgtest.Configure(t, s, absent)
		if err := s.Reload(pgtest.Context(t)); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("an immediate stop and a start make the row visible", func(t *testing.T) {
		w := beginWrite(t, s, true)
		done := w.commit(context.Background())
		awaitWaiter(t, s)
		wantVisible(t, s, w.id, false)
		if err := s.Stop(pgtest.Context(t), postgres.Immediate); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err == nil {
			t.Error("COMMIT succeeds on a stopped server")
		}
		if err := s.Start(pgtest.Context(t)); err != nil {
			t.Fatal(err)
		}
		wantVisible(t, s, w.id, true)
	})

	t.Run("a fast stop succeeds, and makes the row visible", func(t *testing.T) {
		w := beginWrite(t, s, true)
		done := w.commit(context.Background())
		awaitWaiter(t, s)
		if err := s.Stop(pgtest.Context(t), postgres.Fast); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err == nil {
			t.Error("COMMIT succeeds on a stopped server")
		}
		if c, err := postgres.ReadControl(t.Context(), s.Installation, s.Data); err != nil || c.State != "shut down" {
			t.Errorf("the control file says %q, %v, want a clean shutdown", c.State, err)
		}
		if err := s.Start(pgtest.Context(t)); err != nil {
			t.Fatal(err)
		}
		wantVisible(t, s, w.id, true)
	})
}

// write is a transaction that has inserted the row id and waits for its COMMIT.
type write struct {
	id      int
	conn    *pgxpool.Conn
	tx      pgx.Tx
	notices chan *pgconn.Notice
}

var lastID int // of writes; only one test makes them

func beginWrite(t *testing.T, s *postgres.Server, sealed bool) *write {
	t.Helper()
	lastID++
	w := &write{id: lastID, notices: make(chan *pgconn.Notice, 8)}
	pool, err := postgres.NewPool(t.Context(), postgres.PoolConfig{
		ConnString: s.ConnString("postgres"),
		Sealed:     sealed,
		OnNotice:   func(_ *pgconn.PgConn, n *pgconn.Notice) { w.notices <- n },
	})
	if err != nil {
		t.Fatal(err)
	}
	// Whoever still waits at the test's end is let go, so that the next test finds none.
	t.Cleanup(func() {
		pgtest.Await(t, "the waiting backends end", func() bool {
			return query[int](t, s, `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'`) == 0
		})
		w.conn.Release()
		pool.Close()
	})
	if w.conn, err = pool.Acquire(pgtest.Context(t)); err != nil {
		t.Fatal(err)
	}
	if w.tx, err = w.conn.Begin(pgtest.Context(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.tx.Exec(pgtest.Context(t), `INSERT INTO k VALUES ($1)`, w.id); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *write) commit(ctx context.Context) <-chan error {
	done := make(chan error, 1)
	go func() { done <- w.tx.Commit(ctx) }()
	return done
}

// notice is what has come on the connection, if anything has.
func (w *write) notice() *pgconn.Notice {
	select {
	case n := <-w.notices:
		return n
	default:
		return nil
	}
}

// prepare makes the table of writes, without waiting for a standby.
func prepare(t *testing.T, s *postgres.Server) {
	t.Helper()
	exec(t, s, `SET synchronous_commit = local; CREATE TABLE k (id int PRIMARY KEY)`)
}

// awaitWaiter returns the one backend that waits for the standby.
func awaitWaiter(t *testing.T, s *postgres.Server) (pid int) {
	t.Helper()
	pgtest.Await(t, "the COMMIT waits for the standby", func() bool {
		pid = query[int](t, s, `SELECT coalesce(min(pid), 0) FROM pg_stat_activity WHERE wait_event = 'SyncRep'`)
		return pid != 0
	})
	return pid
}

// awaitWaitingFor returns when the backend has been seen waiting for that long after its COMMIT began.
func awaitWaitingFor(t *testing.T, s *postgres.Server, pid int, d time.Duration) {
	t.Helper()
	pgtest.Await(t, "the COMMIT still waits", func() bool {
		return query[bool](t, s, `SELECT EXISTS (SELECT FROM pg_stat_activity
			WHERE pid = $1 AND wait_event = 'SyncRep' AND clock_timestamp() - query_start > make_interval(secs => $2))`, pid, d.Seconds())
	})
}

func wantVisible(t *testing.T, s *postgres.Server, id int, want bool) {
	t.Helper()
	if got := visible(t, s, id); got != want {
		t.Errorf("the row is visible: %v, want %v", got, want)
	}
}

func visible(t *testing.T, s *postgres.Server, id int) bool {
	t.Helper()
	return query[bool](t, s, `SELECT EXISTS (SELECT FROM k WHERE id = $1)`, id)
}

// connect returns a connection as the administrator, which the test's end closes.
func connect(t *testing.T, s *postgres.Server) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(pgtest.Context(t), s.ConnString("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func exec(t *testing.T, s *postgres.Server, sql string, args ...any) {
	t.Helper()
	conn, err := pgx.Connect(pgtest.Context(t), s.ConnString("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(pgtest.Context(t), sql, args...); err != nil {
		t.Fatal(err)
	}
}

func query[T any](t *testing.T, s *postgres.Server, sql string, args ...any) (v T) {
	t.Helper()
	conn, err := pgx.Connect(pgtest.Context(t), s.ConnString("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(pgtest.Context(t), sql, args...).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}
