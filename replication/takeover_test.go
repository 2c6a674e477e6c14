package replication

import (
	"bytes"
	"errors"
	"testing"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// TestHasAll: a passive takes over from an active that was shut down when its own log ends there, has the same bytes, and is
// replayed. Each row spoils one thing.
func TestHasAll(t *testing.T) {
	primary := newServer(t, nil)
	standby := pgtest.Clone(t, primary, "kt_test", pgtest.Options{})
	active := newLone(t, func(c *Config) { c.Server = primary })
	// A standby that has not asked for the log when the active is shut down never gets the end of it.
	pgtest.Await(t, "it streams", func() bool {
		return text(t, primary, "EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming')") == "true"
	})
	if err := primary.Stop(pgtest.Context(t), postgres.Fast); err != nil {
		t.Fatal(err)
	}
	m := newLone(t, func(c *Config) { c.Server = standby })
	var b Boundary
	if err := active.readWAL(pgtest.Context(t), &b); err != nil {
		t.Fatal(err)
	}
	err := m.state.Update(func(s *State) error {
		s.Duty, s.Peer, s.SystemID = Passive, &Peer{Name: "kt02"}, b.SystemID
		s.Compared = &Compared{Active: "a", Passive: m.start(), Incarnation: s.Incarnation}
		b.Epoch = s.Epoch
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Await(t, "it is replayed", func() bool { return lsn(t, standby, "pg_last_wal_replay_lsn()") >= b.End })
	shorter := func(b *Boundary) {
		b.End -= 8
		var err error
		if b.Hash, err = postgres.HashWAL(primary.Data, b.Timeline, b.From, b.End); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct {
		when   string
		change func(*State, *Boundary)
		ok     bool
	}{
		{"it has all", func(*State, *Boundary) {}, true},
		{"the bytes are others", func(_ *State, b *Boundary) { b.Hash = bytes.Repeat([]byte{1}, 32) }, false},
		{"its log goes on", func(_ *State, b *Boundary) { shorter(b) }, false},
		{"its log ends before", func(_ *State, b *Boundary) { b.End += 1 << 20 }, false},
		{"the log is of another timeline", func(_ *State, b *Boundary) { b.Timeline++ }, false},
		{"the timeline has another history", func(_ *State, b *Boundary) { b.History = []byte("1\t0/1\n") }, false},
		{"the log is of another epoch", func(_ *State, b *Boundary) { b.Epoch.Number-- }, false},
		{"the log is of another database", func(_ *State, b *Boundary) { b.SystemID++ }, false},
		{"it follows nobody", func(s *State, _ *Boundary) { s.Compared = nil }, false},
		{"it was started anew", func(s *State, _ *Boundary) { s.Compared.Passive = "before" }, false},
	} {
		s, told := m.state.Current(), b
		row.change(&s, &told)
		if err := m.hasAll(pgtest.Context(t), s, &told); (err == nil) != row.ok {
			t.Errorf("when %s: %v", row.when, err)
		}
	}
	_, err = m.Takeover(pgtest.Context(t), Takeover{Step: TakeoverTake, ID: "7", Epoch: b.Epoch.Next(), Boundary: &b})
	if _, refused := errors.AsType[*RefusedError](err); !refused || m.state.Current().Operation != nil {
		t.Errorf("a takeover that nobody has prepared: %v", err)
	}
}

// TestTakeoverIsPreparedOnce: a switchover that this host has given up is not begun again by a call that is late, and one that
// is of another epoch, or beside another operation, is not begun at all.
func TestTakeoverIsPreparedOnce(t *testing.T) {
	prepare := func(m *Monitor, id string, skip int) error {
		s := m.state.Current()
		_, err := m.Takeover(t.Context(), Takeover{Step: TakeoverPrepare, ID: id, Epoch: Epoch{s.Epoch.Number + skip, "next"}})
		return err
	}
	refused := func(what string, err error) {
		t.Helper()
		if _, ok := errors.AsType[*RefusedError](err); !ok {
			t.Errorf("%s: %v", what, err)
		}
	}
	m := newSilenced(t, func(*Config, *State) {})
	refused("of this epoch", prepare(m, "1", 0))
	refused("of the epoch after the next", prepare(m, "1", 2))
	if err := prepare(m, "1", 1); err != nil || m.state.Current().Operation == nil {
		t.Fatalf("in order: %v", err)
	}
	if _, err := m.Takeover(t.Context(), Takeover{Step: TakeoverAbort, ID: "1", Why: "a test"}); err != nil || m.state.Current().Operation != nil {
		t.Fatalf("given up: %v", err)
	}
	refused("given up before", prepare(m, "1", 1))
	if _, err := m.Takeover(t.Context(), Takeover{Step: TakeoverAbort, ID: "2", Why: "a test"}); err != nil {
		t.Fatal(err)
	}
	refused("given up before it was heard of", prepare(m, "2", 1))
	for name, change := range map[string]func(*State){
		"on a fenced host":          func(s *State) { s.Fenced = &Fence{Reason: EpochConflict} },
		"on an active":              func(s *State) { s.Duty = Active },
		"beside a promotion":        func(s *State) { s.Operation = &Operation{Kind: KindPromotion, ID: "9", Step: StepLeave} },
		"while somebody is joining": func(s *State) { s.Pending = &Admission{Peer: Peer{Name: "kt03"}} },
	} {
		m := newSilenced(t, func(_ *Config, s *State) { change(s) })
		refused(name, prepare(m, "3", 1))
	}
	refused("to take over in a switchover that it does not know", func() error {
		_, err := m.Takeover(t.Context(), Takeover{Step: TakeoverTake, ID: "7", Boundary: &Boundary{}})
		return err
	}())
}
