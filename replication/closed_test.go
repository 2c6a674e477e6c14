package replication

import (
	"testing"
	"time"
)

// TestClosed: a passive says that its active is gone from the moment on in which that is so, and not from the next tick on; so do those
// who ask its gate then.
func TestClosed(t *testing.T) {
	now := time.Hour
	m := newLone(t, func(c *Config) {
		c.Uptime = func() time.Duration { return now }
		if err := c.State.Update(func(s *State) error { s.Duty, s.Peer = Passive, &Peer{Name: "kt02"}; return nil }); err != nil {
			t.Fatal(err)
		}
	})
	s := m.state.Current()
	m.facts.resumed = now - time.Minute
	m.facts.looked, m.facts.serverTried, m.facts.peerTried, m.facts.serverAt, m.facts.heardAt, m.facts.peerAt = now, now, now, now, now, now
	m.facts.server = Server{Answers: true, Role: Standby, SystemID: s.SystemID, MessageAge: Never}
	m.facts.standing.ready = true
	said := func(want Reason) {
		t.Helper()
		if r := m.Report().Reason; r != want {
			t.Fatalf("reported is %q, want %q", r, want)
		}
		if want == "" {
			want = Starting
		}
		for who, closed := range map[string]*ClosedError{"Closed": m.Closed(), "the gate": m.gate.Closed()} {
			if closed == nil || closed.Reason != want {
				t.Errorf("%s says %+v, want %s", who, closed, want)
			}
		}
	}
	m.evaluate()
	said("")
	now += m.policy.AnswerLimit + time.Millisecond
	m.facts.looked, m.facts.serverTried, m.facts.serverAt, m.facts.peerTried = now, now, now, now // all but the other host is there
	said(ActiveUnreachable)
	m.facts.heardAt = now
	said("")
}
