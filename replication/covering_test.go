package replication

import (
	"testing"

	"keytrustee/postgres"
)

// TestCovering: what is said to be confirmed covers all that was ever acknowledged, and was confirmed by this very passive.
func TestCovering(t *testing.T) {
	f, _ := newState(t)
	s := f.Current()
	s.Peer, s.Confirmed.Position = &Peer{Name: "kt02", Incarnation: "copy"}, 500
	world := World{s.SystemID, 1, s.Epoch, "copy"}
	for _, row := range []struct {
		when   string
		change func(*World, *State)
		at     postgres.LSN
		want   postgres.LSN
	}{
		{"it has just that", func(*World, *State) {}, 500, 500},
		{"it has more", func(*World, *State) {}, 900, 900},
		{"it lacks a byte", func(*World, *State) {}, 499, 0},
		{"nothing was ever acknowledged", func(_ *World, s *State) { s.Confirmed.Position = 0 }, 1, 1},
		{"the position is of the passive before", func(w *World, _ *State) { w.Incarnation = "first" }, 900, 0},
		{"the position is of the epoch before", func(w *World, _ *State) { w.Epoch.Number-- }, 900, 0},
		{"the position is of another database", func(w *World, _ *State) { w.SystemID++ }, 900, 0},
		{"there is no passive", func(_ *World, s *State) { s.Peer = nil }, 900, 0},
	} {
		w, state := world, s
		row.change(&w, &state)
		h := newHorizon(f)
		h.enter(w)
		h.confirm(w, row.at)
		if got := h.covering(state); got != row.want {
			t.Errorf("%s: %s is said to be confirmed, want %s", row.when, got, row.want)
		}
	}
}

// TestSaysWhatCovers: the active tells its passive of a position only once that covers all that was acknowledged.
func TestSaysWhatCovers(t *testing.T) {
	var asked Ask
	m := newLone(t, func(c *Config) {
		c.Caller = peerOf{answer: func(q Ask) (Answer, error) { asked = q; return Answer{}, nil }}
	})
	to := Peer{Name: "kt03", Incarnation: "copy"}
	if err := m.state.Update(func(s *State) error { s.Peer, s.Confirmed.Position = &to, 500; return nil }); err != nil {
		t.Fatal(err)
	}
	s := m.state.Current()
	w := World{s.SystemID, 1, s.Epoch, "copy"}
	m.horizon.enter(w)
	for _, row := range []struct{ at, want postgres.LSN }{{300, 0}, {700, 700}} {
		m.horizon.confirm(w, row.at)
		m.ask(t.Context(), to, Ask{}, callLimit)
		if asked.Confirmed != row.want {
			t.Errorf("500 was acknowledged, the passive has confirmed %s, and is told %s; want %s", row.at, asked.Confirmed, row.want)
		}
	}
}

// TestFirstWordIsOfAll: a copy that has joined is whole when the active says so and it has all that this speaks of.
func TestFirstWordIsOfAll(t *testing.T) {
	m := newLone(t, func(*Config) {})
	if err := m.state.Update(func(s *State) error { s.Duty, s.Peer = Passive, &Peer{Name: "kt02"}; return nil }); err != nil {
		t.Fatal(err)
	}
	state := m.state.Current()
	for _, row := range []struct{ said, flushed, replayed, want postgres.LSN }{
		{0, 300, 300, 0},
		{500, 300, 300, 0},
		{500, 600, 300, 0},
		{500, 300, 600, 0},
		{500, 600, 500, 500},
	} {
		m.facts.server.Flushed, m.facts.server.Replayed = row.flushed, row.replayed
		m.asked(Ask{From: "kt02", Duty: Active, Epoch: state.Epoch, Confirmed: row.said})
		if got := m.state.Current().LastConfirmed; got != row.want {
			t.Errorf("it has flushed %s and replayed %s, the active says %s: %s is noted, want %s", row.flushed, row.replayed, row.said, got, row.want)
		}
	}
}
