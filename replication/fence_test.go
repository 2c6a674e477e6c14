package replication

import (
	"errors"
	"testing"
	"time"

	"keytrustee/postgres"
)

// TestFence: a host that meets a higher epoch has the fence on its disk, its gate shut, no write that waits and no claim, and remembers nothing.
func TestFence(t *testing.T) {
	now := time.Hour
	forgotten := 0
	m := newLone(t, func(c *Config) {
		c.Uptime = func() time.Duration { return now }
		c.Forget = func() { forgotten++ }
	})
	err := m.state.Update(func(s *State) error { s.Peer = &Peer{Name: "kt02"}; return nil })
	if err != nil {
		t.Fatal(err)
	}
	s := m.state.Current()
	m.horizon.enter(World{s.SystemID, 1, s.Epoch, ""})
	m.gate.setWorld("active", true)
	m.gate.admit(now+time.Hour, &ClosedError{Reason: Starting})
	waiting := waitFor(t, m.horizon, 10, 500)
	inside, leave, err := m.gate.Enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer leave()

	m.facts.peer.Epoch = s.Epoch.Next()
	m.evaluate()

	var shut *ClosedError
	if _, _, err := m.gate.Enter(t.Context()); !errors.As(err, &shut) || shut.Reason != EpochConflict {
		t.Errorf("the gate: %v", err)
	}
	if inside.Err() == nil {
		t.Error("what was inside the gate goes on")
	}
	if forgotten == 0 {
		t.Error("what is remembered of keys would still be served")
	}
	if _, claims := m.gate.World(); claims {
		t.Error("claims are answered")
	}
	select {
	case err := <-waiting:
		if !errors.Is(err, ErrWorldChanged) {
			t.Errorf("a write that waited: %v", err)
		}
	case <-time.After(time.Second):
		t.Error("a write waits still")
	}
	reopened, err := OpenState(m.state.path)
	if err != nil {
		t.Fatal(err)
	}
	if f := reopened.Current().Fenced; f == nil || f.Reason != EpochConflict || f.Met == nil || *f.Met != m.facts.peer.Epoch {
		t.Errorf("on the disk: %+v", f)
	}
}

// TestFencedConfirmsNoSnapshot: what a fenced host takes for confirmed stays what it was.
func TestFencedConfirmsNoSnapshot(t *testing.T) {
	m := newLone(t, func(*Config) {})
	c := canary{snapshot: postgres.Snapshot{Xmin: 5, Xmax: 5}, at: 500, epoch: m.state.Current().Epoch}
	if err := m.confirmSnapshot(c); err != nil || m.state.Current().Confirmed.Position != 500 {
		t.Fatalf("a snapshot of a host that is not fenced: %v", err)
	}
	if err := m.state.Update(func(s *State) error { s.Fenced = &Fence{Reason: Fenced}; return nil }); err != nil {
		t.Fatal(err)
	}
	c.snapshot.Xmin, c.snapshot.Xmax, c.at = 9, 9, 900
	if err := m.confirmSnapshot(c); !errors.Is(err, ErrWorldChanged) {
		t.Errorf("a fenced host confirmed a snapshot: %v", err)
	}
	if got := m.state.Current().Confirmed; got.Position != 500 || got.Snapshot.Xmax != 5 {
		t.Errorf("on the disk: %+v", got)
	}
}
