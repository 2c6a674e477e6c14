package replication

import (
	"strings"
	"testing"
	"time"
)

// TestRestoreRefusal: an active is restored from a passive that is whole, and while nothing is heard of the active.
func TestRestoreRefusal(t *testing.T) {
	for _, row := range []struct {
		when  string
		state func(*State)
		facts func(*facts)
		says  string // empty: it may be
	}{
		{"everything is in order", nil, nil, ""},
		{"this host is the active", func(s *State) { s.Duty = Active }, nil, "is the active"},
		{"it is fenced", func(s *State) { s.Fenced = &Fence{Reason: EpochConflict} }, nil, "is fenced"},
		{"a switchover is under way", func(s *State) { s.Operation = &Operation{Kind: KindSwitchover, ID: "1"} }, nil, "is under way"},
		{"it has no active", func(s *State) { s.Peer = nil }, nil, "has no active"},
		{"it stood still", nil, func(f *facts) { f.serverTried = 0 }, "does not know yet whether"},
		{"the active answers", nil, func(f *facts) { f.heardAt = time.Hour - time.Second }, "answers: nothing of it"},
		{"the active's database sends its log", nil, func(f *facts) { f.server.MessageAge = time.Second }, "still sends its log"},
		{"it was never confirmed", func(s *State) { s.LastConfirmed = 0 }, nil, "was never confirmed"},
		{"its database does not answer", nil, func(f *facts) { f.server.Answers = false }, "does not answer"},
		{"its database is another", nil, func(f *facts) { f.server.SystemID++ }, "no standby of the pair"},
		{"its database is a primary", nil, func(f *facts) { f.server.Role = Primary }, "no standby of the pair"},
		{"it has not replayed everything", nil, func(f *facts) { f.standing.ready = false }, "has not yet replayed"},
	} {
		m := newSilenced(t, func(_ *Config, s *State) {
			if row.state != nil {
				row.state(s)
			}
		})
		m.facts.peerTried = time.Hour
		if row.facts != nil {
			row.facts(&m.facts)
		}
		if why := m.RestoreRefusal(); (why == "") != (row.says == "") || !strings.Contains(why, row.says) {
			t.Errorf("when %s: %q, want %q", row.when, why, row.says)
		}
	}
}

// TestReturned: the host that was restored is the active again when its copy runs, and nobody else is.
func TestReturned(t *testing.T) {
	for _, row := range []struct {
		when   string
		change func(*Answer)
		its    bool // the answer is of the host that is being restored
		taken  bool
	}{
		{"its copy runs", func(*Answer) {}, true, true},
		{"its database does not answer yet", func(a *Answer) { a.Server.Answers = false }, true, false},
		{"its database recovers still", func(a *Answer) { a.Server.Role = Standby }, true, false},
		{"its database is another", func(a *Answer) { a.Server.SystemID++ }, true, false},
		{"it is fenced", func(a *Answer) { a.Fenced = EpochConflict }, true, false},
		{"it is the active that it was before", func(a *Answer) { a.Incarnation = "i" }, false, false},
		{"it is of the epoch before", func(a *Answer) { a.Epoch.Number-- }, false, false},
		{"it has another name", func(a *Answer) { a.Name = "kt03" }, false, false},
		{"it is a passive", func(a *Answer) { a.Duty = Passive }, false, false},
	} {
		m := newSilenced(t, func(_ *Config, s *State) {
			s.Operation = &Operation{Kind: KindRestore, ID: "1", Step: stepCopying, Epoch: s.Epoch.Next()}
			s.Pending = &Admission{Peer: Peer{Name: "kt01", Incarnation: "copy"}, Epoch: s.Operation.Epoch}
		})
		s := m.state.Current()
		a := Answer{Name: "kt01", Duty: Active, Incarnation: "copy", Epoch: s.Pending.Epoch, Server: Server{Answers: true, Role: Primary, SystemID: s.SystemID}}
		row.change(&a)
		if its := m.returned(s, a); its != row.its {
			t.Errorf("when %s: taken for its answer %v", row.when, its)
		}
		if now := m.state.Current(); (now.Epoch == s.Pending.Epoch) != row.taken || (now.Peer.Incarnation == "copy") != row.taken || (now.Former != nil) != row.taken {
			t.Errorf("when %s: epoch %s, active %+v, former %+v", row.when, now.Epoch, now.Peer, now.Former)
		}
	}
}
