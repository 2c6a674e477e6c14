package replication

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// TestGoalIsWhatWasConfirmed: what a new start has to replay before it is read is the end of its own WAL, and at least what it
// had confirmed: its WAL may have been cut since.
func TestGoalIsWhatWasConfirmed(t *testing.T) {
	server := newServer(t, nil)
	end := lsn(t, server, "pg_current_wal_flush_lsn()")
	for _, confirmed := range []postgres.LSN{1, end + 1<<30} {
		m := newLone(t, func(c *Config) { c.Server = server })
		if err := m.state.Update(func(s *State) error { s.Duty, s.LastConfirmed = Passive, confirmed; return nil }); err != nil {
			t.Fatal(err)
		}
		if err := m.findGoal(pgtest.Context(t), m.start()); err != nil {
			t.Fatal(err)
		}
		if got := m.facts.standing.goal; got < end || got < confirmed {
			t.Errorf("the goal is %s; the WAL ends at %s, and %s is confirmed", got, end, confirmed)
		}
	}
}

// TestCanaryCoversWhatItSees: the position of a snapshot lies behind the records of all that it sees as ended, also of what was
// rolled back and is not on the disk yet.
func TestCanaryCoversWhatItSees(t *testing.T) {
	server := newServer(t, map[string]string{"wal_writer_delay": "10s", "wal_writer_flush_after": "0"}) // nothing but commits flushes
	m := newLone(t, func(c *Config) { c.Server = server })
	conn, err := pgx.Connect(pgtest.Context(t), server.ConnString("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "create table t (n int)"); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, err := m.emit(t.Context()); err != nil { // and its connection is there
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), "begin; insert into t values (1); rollback"); err != nil {
			t.Fatal(err)
		}
		ended := lsn(t, server, "pg_current_wal_insert_lsn()")
		c, err := m.emit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if c.at < ended {
			t.Fatalf("the snapshot %s is at %s, what it sees ends at %s", c.snapshot, c.at, ended)
		}
	}
}

// TestCanaryIsAwaitedItself: a peer that stands still where it was before the canary has not confirmed it, also where nothing else was
// written: its age shows the standstill.
func TestCanaryIsAwaitedItself(t *testing.T) {
	server := newServer(t, nil)
	m := newLone(t, func(c *Config) { c.Server = server })
	c, err := m.emit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := m.state.Current()
	world := World{s.SystemID, 1, s.Epoch, "copy"}
	m.horizon.enter(world)
	m.horizon.confirm(world, c.at)
	if err := m.awaitCanary(t.Context(), c); err == nil {
		t.Errorf("confirmed at %s, before the canary, which ends at %s", c.at, c.end)
	}
	m.horizon.confirm(world, c.end)
	if err := m.awaitCanary(t.Context(), c); err != nil {
		t.Errorf("confirmed at %s, its end: %v", c.end, err)
	}
}

// TestSnapshotIsOfItsEpoch: what a passive has confirmed that has been replaced meanwhile is not shown for that: its successor may lack it.
func TestSnapshotIsOfItsEpoch(t *testing.T) {
	m := newLone(t, func(*Config) {})
	c := canary{snapshot: postgres.Snapshot{Xmin: 5, Xmax: 5}, at: 500, epoch: m.state.Current().Epoch}
	if err := m.state.Update(func(s *State) error { s.Epoch = s.Epoch.Next(); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := m.confirmSnapshot(c); !errors.Is(err, ErrWorldChanged) || m.state.Current().Confirmed.Position != 0 {
		t.Errorf("confirmed up to %s: %v", m.state.Current().Confirmed.Position, err)
	}
}

// TestThrough: a shut gate knows how long ago the newest canary that came through was written; an open one does not ask.
func TestThrough(t *testing.T) {
	const now = time.Hour
	m := newLone(t, func(c *Config) { c.Uptime = func() time.Duration { return now } })
	want := func(what string, want time.Duration) {
		t.Helper()
		if got := m.statusOf(m.state.Current(), now).Through; got != want {
			t.Errorf("%s: %v ago, want %v", what, got, want)
		}
	}
	want("nothing has come through", Never)
	m.heardCanary(canary{sent: now - 3*time.Second})
	want("one has", 3*time.Second)
	m.facts.since(Decision{Open: true}, time.Now())
	want("the gate is open", 0)
}

// TestPassiveProves: a passive proves what it has replayed, in its own epoch, and remembers how far that was.
func TestPassiveProves(t *testing.T) {
	primary := newServer(t, nil)
	standby := pgtest.Clone(t, primary, "kt_test", pgtest.Options{})
	m := newLone(t, func(c *Config) { c.Server = standby })
	if err := m.state.Update(func(s *State) error { s.Duty, s.Peer, s.LastConfirmed = Passive, &Peer{Name: "kt02"}, 1; return nil }); err != nil {
		t.Fatal(err)
	}
	state := m.state.Current()
	sql(t, standby, "select pg_wal_replay_pause()")
	pgtest.Await(t, "replay is paused", func() bool { return text(t, standby, "pg_get_wal_replay_pause_state()") == "paused" })
	sql(t, primary, "create table t (n int)")
	q := Ask{Nonce: []byte("n"), Epoch: state.Epoch, Rows: [][16]byte{{1}}, At: lsn(t, primary, "pg_current_wal_flush_lsn()")}
	if _, err := m.proveFor(t.Context(), state, q); err == nil {
		t.Error("it proved what it has not replayed")
	}
	if m.state.Current().LastConfirmed != 1 {
		t.Error("it took note of a position that it has not replayed")
	}
	sql(t, standby, "select pg_wal_replay_resume()")
	pgtest.Await(t, "it is replayed", func() bool { return lsn(t, standby, "pg_last_wal_replay_lsn()") >= q.At })
	for _, row := range []struct {
		when   string
		change func(*State, *Ask)
	}{
		{"it is asked for another epoch", func(_ *State, q *Ask) { q.Epoch = q.Epoch.Next() }},
		{"it is fenced", func(s *State, _ *Ask) { s.Fenced = &Fence{Reason: EpochConflict} }},
		{"it is the active", func(s *State, _ *Ask) { s.Duty = Active }},
		{"it may lack what was acknowledged before", func(s *State, _ *Ask) { s.LastConfirmed = 0 }},
	} {
		s, question := state, q
		row.change(&s, &question)
		if _, err := m.proveFor(t.Context(), s, question); err == nil {
			t.Errorf("it proved rows although %s", row.when)
		}
	}
	if proofs, err := m.proveFor(t.Context(), state, q); err != nil || len(proofs) != 1 {
		t.Errorf("%d proofs, %v", len(proofs), err)
	}
	reopened, err := OpenState(m.state.path)
	if err != nil {
		t.Fatal(err)
	}
	if got := reopened.Current().LastConfirmed; got < q.At {
		t.Errorf("on the disk it has confirmed %s, what it proved is at %s", got, q.At)
	}
}

func lsn(t *testing.T, s *postgres.Server, expression string) postgres.LSN {
	t.Helper()
	at, err := postgres.ParseLSN(text(t, s, expression))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func text(t *testing.T, s *postgres.Server, expression string) (value string) {
	t.Helper()
	conn, err := pgx.Connect(pgtest.Context(t), s.ConnString("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), "select ("+expression+")::text").Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func sql(t *testing.T, s *postgres.Server, statement string) {
	t.Helper()
	conn, err := pgx.Connect(pgtest.Context(t), s.ConnString("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}
