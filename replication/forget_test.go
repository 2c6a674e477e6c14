package replication

import (
	"errors"
	"testing"

	"keytrustee/postgres"
)

// TestForgetBeforeWhatIsShown: a snapshot that shows what nobody was told of is confirmed after the passive has forgotten what
// it remembered, and this host forgets then too. A passive that does not answer keeps it unconfirmed.
func TestForgetBeforeWhatIsShown(t *testing.T) {
	var asked, forgotten int
	silent := true
	var m *Monitor
	m = newLone(t, func(c *Config) {
		c.Forget = func() { forgotten++ }
		c.Caller = peerOf{answer: func(q Ask) (Answer, error) {
			if m.state.Current().Confirmed.Position != 0 {
				t.Error("it was confirmed before the passive forgot")
			}
			if q.Forget {
				asked++
			}
			if silent {
				return Answer{}, errors.New("silent")
			}
			return Answer{Nonce: q.Nonce, Name: "kt02"}, nil
		}}
	})
	if err := m.state.Update(func(s *State) error { s.Peer = &Peer{Name: "kt02"}; return nil }); err != nil {
		t.Fatal(err)
	}
	c, n := canary{snapshot: postgres.Snapshot{Xmin: 9, Xmax: 9}, at: 900, epoch: m.state.Current().Epoch}, news{pending: true}
	if err := m.confirmNews(t.Context(), c, &n); err == nil || m.state.Current().Confirmed.Position != 0 || !n.pending {
		t.Errorf("beside a silent passive: %v, %+v", err, m.state.Current().Confirmed)
	}
	silent = false
	if err := m.confirmNews(t.Context(), c, &n); err != nil || m.state.Current().Confirmed.Position != 900 || n.pending {
		t.Errorf("%v, %+v", err, m.state.Current().Confirmed)
	}
	if asked != 2 || forgotten != 1 {
		t.Errorf("the passive was told to forget %d times, this host forgot %d times", asked, forgotten)
	}
}

// TestAnswerForgets: a passive that is told to forget has forgotten when it answers.
func TestAnswerForgets(t *testing.T) {
	forgotten := 0
	m := newLone(t, func(c *Config) { c.Forget = func() { forgotten++ } })
	m.Answer(t.Context(), Ask{Nonce: []byte("n")})
	if forgotten != 0 {
		t.Error("it forgot without being told")
	}
	m.Answer(t.Context(), Ask{Nonce: []byte("n"), Forget: true})
	if forgotten != 1 {
		t.Errorf("it was told to forget, and forgot %d times", forgotten)
	}
}

// TestAcknowledgementIsOfItsEpoch: a write of the epoch before is not acknowledged in the next one, whoever confirms it.
func TestAcknowledgementIsOfItsEpoch(t *testing.T) {
	f, _ := newState(t)
	h := newHorizon(f)
	s := f.Current()
	world := World{s.SystemID, 1, s.Epoch, "copy"}
	h.enter(world)
	done := waitFor(t, h, 10, 500)
	if err := f.Update(func(s *State) error { s.Epoch = s.Epoch.Next(); return nil }); err != nil {
		t.Fatal(err)
	}
	h.confirm(world, 600)
	if err := <-done; !errors.Is(err, ErrWorldChanged) {
		t.Errorf("acknowledged: %v", err)
	}
	if acknowledged := f.Current().Confirmed.Acknowledged; len(acknowledged) != 0 {
		t.Errorf("on the disk: %v", acknowledged)
	}
}
