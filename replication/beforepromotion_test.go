package replication

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"keytrustee/postgres"
)

// keyless can not open its root key.
type keyless struct{ opener }

func (keyless) ProveRoot(context.Context, []byte) ([]byte, error) {
	return nil, errors.New("no such file")
}

// newSilenced is a passive that could be promoted: its active, kt01, is silent.
func newSilenced(t *testing.T, change func(*Config, *State)) *Monitor {
	t.Helper()
	now := time.Hour
	var s State
	m := newLone(t, func(c *Config) {
		s = c.State.Current()
		s.Self, s.Duty, s.Peer, s.LastConfirmed = "kt02", Passive, &Peer{Name: "kt01", Incarnation: "i"}, 500
		s.Compared = &Compared{Active: "a", Passive: "p", Incarnation: s.Incarnation}
		c.Uptime = func() time.Duration { return now }
		change(c, &s)
	})
	if err := m.state.Update(func(on *State) error { *on = s; return nil }); err != nil {
		t.Fatal(err)
	}
	m.facts.looked, m.facts.resumed, m.facts.serverTried, m.facts.serverAt, m.facts.diskFree = now, now-time.Minute, now, now, 1<<40
	m.facts.server = Server{Answers: true, Role: Standby, SystemID: s.SystemID, MessageAge: Never}
	m.facts.standing.ready = true
	return m
}

// TestBeforePromotion: a passive is promoted when nothing stands against it, and the operator has said that the active is off.
func TestBeforePromotion(t *testing.T) {
	lives := peerOf{answer: func(q Ask) (Answer, error) {
		return Answer{Nonce: q.Nonce, Name: "kt01", Duty: Active, Epoch: q.Epoch}, nil
	}}
	ready := Command{Act: ActPromote, Name: "kt01", By: "root", Confirm: Confirmation("kt01")}
	for _, row := range []struct {
		when   string
		config func(*Config, *State)
		facts  func(*facts)
		change func(*Command)
		says   string // why not; empty: it is done
	}{
		{"everything is in order", nil, nil, nil, ""},
		{"the active answers", func(c *Config, _ *State) { c.Caller = lives }, nil, nil, "kt01 answers; while it lives use ktadmin cluster switchover"},
		{"the active answers a host that stood still", func(c *Config, _ *State) { c.Caller = lives }, func(f *facts) { f.serverTried = 0 }, nil, "has not looked at everything yet"},
		{"the active was heard a second ago", nil, func(f *facts) { f.heardAt = time.Hour - time.Second }, nil, "kt01 answers"},
		{"the active's database sends its log", nil, func(f *facts) { f.server.MessageAge = time.Second }, nil, "still sends its log; while it lives use ktadmin cluster switchover"},
		{"another host is named", nil, nil, func(c *Command) { c.Name, c.Confirm = "kt09", Confirmation("kt09") }, "not kt09"},
		{"it is fenced", func(_ *Config, s *State) { s.Fenced = &Fence{Reason: EpochConflict} }, nil, nil, "is fenced"},
		{"an operation is under way", func(_ *Config, s *State) { s.Operation = &Operation{Kind: KindSwitchover, ID: "1"} }, nil, nil, "another operation is under way; it goes on by itself"},
		{"its active is being restored from it", func(_ *Config, s *State) {
			s.Operation, s.Pending = &Operation{Kind: KindRestore, ID: "1"}, &Admission{Peer: Peer{Name: "kt01"}}
		}, nil, nil, "another operation is under way; wait for ktadmin restore on kt01, or give it up: ktadmin restore --abort"},
		{"its database does not answer", nil, func(f *facts) { f.server.Answers = false }, nil, "does not answer, or is no standby"},
		{"its database is a primary", nil, func(f *facts) { f.server.Role = Primary }, nil, "is no standby"},
		{"its database is another", nil, func(f *facts) { f.server.SystemID++ }, nil, "is no standby"},
		{"it has not replayed everything", nil, func(f *facts) { f.standing.ready = false }, nil, "has not yet replayed"},
		{"it was never confirmed", func(_ *Config, s *State) { s.LastConfirmed = 0 }, nil, nil, "was never confirmed"},
		{"it can not open its root key", func(c *Config, _ *State) { c.Prover = keyless{} }, nil, nil, "its root key does not open"},
		{"its disk is full", nil, func(f *facts) { f.diskFree = 1 << 20 }, nil, "disks are almost full"},
		{"nobody says that the active is off", nil, nil, func(c *Command) { c.Confirm = "" }, "nobody has confirmed"},
		{"somebody says that another host is off", nil, nil, func(c *Command) { c.Confirm = Confirmation("kt09") }, "nobody has confirmed"},
		{"it is the active", func(_ *Config, s *State) { s.Duty = Active }, nil, nil, "is the active already"},
	} {
		t.Run(row.when, func(t *testing.T) {
			m := newSilenced(t, func(c *Config, s *State) {
				if row.config != nil {
					row.config(c, s)
				}
			})
			if row.facts != nil {
				row.facts(&m.facts)
			}
			c := ready
			if row.change != nil {
				row.change(&c)
			}
			before := m.state.Current()
			_, err := m.promote(t.Context(), c)
			now := m.state.Current()
			if row.says == "" {
				if err != nil || now.Operation == nil || now.Operation.Step != StepLeave || now.Operation.Epoch.Number != before.Epoch.Number+1 || now.Duty != Passive {
					t.Errorf("error %v, operation %+v", err, now.Operation)
				}
				return
			}
			if _, refused := errors.AsType[*RefusedError](err); !refused || !strings.Contains(err.Error(), row.says) {
				t.Errorf("when %s: %v; want a refusal with %q", row.when, err, row.says)
			}
			if (now.Operation == nil) != (before.Operation == nil) {
				t.Errorf("when %s: it was refused, and the operation is %+v", row.when, now.Operation)
			}
		})
	}
}

// TestPromotionIsGivenUp: an active that is heard before its passive has left it ends the promotion; and what has left it is
// told to follow nobody.
func TestPromotionIsGivenUp(t *testing.T) {
	begin := func() *Monitor {
		m := newSilenced(t, func(_ *Config, s *State) {
			s.Operation = &Operation{Kind: KindPromotion, ID: "1", Step: StepLeave, Epoch: s.Epoch.Next()}
		})
		m.server = &postgres.Server{Data: t.TempDir()}
		return m
	}
	m := begin()
	m.facts.heardAt, m.facts.peerTried = time.Hour, time.Hour
	if _, err := m.stepPromotion(t.Context(), m.state.Current(), "start"); err != nil {
		t.Fatal(err)
	}
	if s := m.state.Current(); s.Operation != nil || s.Outcome == nil || s.Duty != Passive || s.Compared == nil {
		t.Errorf("the active was heard: operation %+v, outcome %+v", s.Operation, s.Outcome)
	}

	m = begin()
	m.facts.peerTried = time.Hour
	m.facts.serverTried = 0
	if _, err := m.stepPromotion(t.Context(), m.state.Current(), "start"); err != nil || m.state.Current().Compared == nil {
		t.Errorf("a host that stood still, and has not asked anybody since, leaves its active: %v", err)
	}
	m.facts.serverTried = time.Hour
	// Its server does not run, so that the step fails; what is on the disk tells.
	if _, err := m.stepPromotion(t.Context(), m.state.Current(), "start"); err == nil {
		t.Error("a server that does not run has left its active")
	}
	if s := m.state.Current(); s.Operation == nil || s.Operation.Step != StepLeave || s.Compared != nil {
		t.Errorf("step %+v; a comparison stands by which it would follow again: %v", s.Operation, s.Compared)
	}
	s := m.state.Current()
	if err := m.Follow(t.Context(), Follow{Epoch: s.Epoch, Incarnation: s.Incarnation, Active: "a", Passive: m.start()}); err == nil || !strings.Contains(err.Error(), "about to be the active") {
		t.Errorf("an order to follow: %v", err)
	}
	if m.state.Current().Compared != nil {
		t.Error("it follows while it is being promoted")
	}
}
