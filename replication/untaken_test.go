package replication

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// TestUntakenCopyFencesNobody: a passive that was cloned anew keeps its name and its key, and answers before its database does, or
// after its join was given up, under an epoch that has begun nowhere. The active does not fence itself for that, and takes no
// write; for a passive of a higher epoch that some active has confirmed it does.
func TestUntakenCopyFencesNobody(t *testing.T) {
	for name, row := range map[string]struct {
		givenUp, confirmed, fence bool
	}{
		"its database does not answer yet": {false, false, false},
		"its join was given up":            {true, false, false},
		"it was confirmed":                 {true, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			m := newLone(t, func(c *Config) { c.Uptime = func() time.Duration { return time.Hour } })
			peer := Peer{Name: "kt02", Incarnation: "old", Key: "key"}
			next := m.state.Current().Epoch.Next()
			err := m.state.Update(func(s *State) error {
				s.Duty, s.Peer = Active, &peer
				if !row.givenUp {
					s.Pending = &Admission{Peer: Peer{Name: "kt02", Incarnation: "new", Key: "key"}, Epoch: next}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			m.facts.resumed, m.facts.serverTried = time.Hour-time.Minute, time.Hour
			a := Answer{Name: "kt02", Duty: Passive, Epoch: next, Incarnation: "new", Unconfirmed: !row.confirmed}
			m.heard(peer, time.Hour, a, nil)
			m.evaluate()
			s := m.state.Current()
			if (s.Fenced != nil) != row.fence {
				t.Fatalf("fenced: %+v", s.Fenced)
			}
			if m.gate.Closed() == nil {
				t.Error("writes are open")
			}
			if row.givenUp {
				return
			}
			a.Server.Start = "p"
			m.heard(peer, time.Hour, a, nil)
			if s := m.state.Current(); s.Peer.Incarnation != "old" || s.Fenced != nil {
				t.Errorf("when its database starts: %+v in epoch %s, fenced: %+v", s.Peer, s.Epoch, s.Fenced)
			}
			a.Server = Server{Answers: true, Start: "p", Role: Standby, SystemID: s.SystemID}
			m.heard(peer, time.Hour, a, nil)
			if s := m.state.Current(); s.Peer.Incarnation != "new" || s.Epoch != next {
				t.Errorf("when its database answers: %+v in epoch %s", s.Peer, s.Epoch)
			}
		})
	}
}

// TestTurnedAwayByAnUntakenCopyFences: a host that is told the epoch of a pair that has gone on without it fences itself, whatever
// the other one has said before.
func TestTurnedAwayByAnUntakenCopyFences(t *testing.T) {
	m := newLone(t, func(c *Config) { c.Uptime = func() time.Duration { return time.Hour } })
	peer := Peer{Name: "kt02", Incarnation: "old"}
	if err := m.state.Update(func(s *State) error { s.Duty, s.Peer = Active, &peer; return nil }); err != nil {
		t.Fatal(err)
	}
	next := m.state.Current().Epoch.Next()
	m.heard(peer, time.Hour, Answer{Name: "kt02", Duty: Passive, Epoch: next, Incarnation: "new", Unconfirmed: true}, nil)
	m.heard(peer, time.Hour, Answer{}, &TurnedAwayError{Sentence: "no", Epoch: next.Next()})
	m.evaluate()
	if m.state.Current().Fenced == nil {
		t.Error("it is not fenced")
	}
}

// TestReclaimLooksFirst: a daemon that has just started does not know yet whether the passive of its switchover answers.
func TestReclaimLooksFirst(t *testing.T) {
	m := newLone(t, func(*Config) {})
	err := m.state.Update(func(s *State) error {
		s.Duty, s.Peer = Active, &Peer{Name: "kt02"}
		s.Operation = &Operation{Kind: KindSwitchover, Step: StepHand, ID: "7", Epoch: s.Epoch.Next()}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	o, err := m.Operate(t.Context(), Command{Act: ActPromote, Name: "kt02", Check: true})
	if err != nil || len(o.Findings) != 3 || o.Findings[2].OK {
		t.Errorf("it found %+v, %v", o.Findings, err)
	}
}

// restored is the Monitor of an active that was restored from kt02 and has not been taken in; asked is what becomes of a question.
func restored(t *testing.T, asked error) *Monitor {
	t.Helper()
	m := newLone(t, func(c *Config) {
		c.Uptime = func() time.Duration { return time.Hour }
		c.Caller = peerOf{answer: func(Ask) (Answer, error) { return Answer{}, asked }}
	})
	err := m.state.Update(func(s *State) error {
		s.Duty, s.Peer = Active, &Peer{Name: "kt02"}
		s.Operation = &Operation{Kind: KindRestore, Step: StepReturning, ID: "7", Epoch: s.Epoch}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	m.mu.Lock()
	m.facts.serverTried, m.facts.looked, m.facts.diskFree = time.Hour, time.Hour, 1<<40
	m.mu.Unlock()
	return m
}

// TestOutliveLooksFirst: a survivor that turns away the host that was restored from it is not lost, nor does that host go on without its
// database.
func TestOutliveLooksFirst(t *testing.T) {
	wrong := func(m *Monitor) (what []string) {
		o, err := m.Operate(t.Context(), Command{Act: ActPromote, Name: "kt02", Check: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range o.Findings {
			if !f.OK {
				what = append(what, f.What)
			}
		}
		return what
	}
	without := []string{"the database of this host does not answer, or lacks what was restored", "it is not known to be of the epoch of the restore"}
	if what := wrong(restored(t, errors.New("silent"))); !slices.Equal(what, without) {
		t.Errorf("with a survivor that is silent it finds %q", what)
	}
	m := restored(t, errors.New("silent"))
	m.facts.serverTried = 0
	if what := wrong(m); !slices.Contains(what, "this host has just started, or stood still, and has not looked at everything yet") {
		t.Errorf("before it has looked it finds %q", what)
	}
	m = restored(t, nil)
	epoch := m.state.Current().Epoch
	m.caller = peerOf{answer: func(Ask) (Answer, error) {
		return Answer{}, &TurnedAwayError{Sentence: "no", Epoch: Epoch{epoch.Number - 1, "old"}}
	}}
	if what := wrong(m); !slices.Contains(what, "kt02 answers, and has given this host up") {
		t.Errorf("turned away it finds %q", what)
	}
	m = restored(t, nil)
	m.caller = peerOf{answer: func(Ask) (Answer, error) {
		return Answer{}, &TurnedAwayError{Sentence: "no", Epoch: NewEpoch(epoch.Number)}
	}}
	if what := wrong(m); !slices.Contains(what, "this host is fenced") {
		t.Errorf("turned away by one that was promoted it finds %q", what)
	}
}

// TestTurnedAwayByTheRestoredFences: the host that was restored from this one, and has gone on without it, is known by the key with which
// it was admitted, while the active that this host has is the destroyed one.
func TestTurnedAwayByTheRestoredFences(t *testing.T) {
	for name, row := range map[string]struct {
		ahead int
		by    string // the copy that turns it away
		fence bool
	}{
		"it went on":                          {2, "new", true},
		"it is in the epoch of the admission": {1, "new", false},
		"it is another copy":                  {2, "other", false},
	} {
		t.Run(name, func(t *testing.T) {
			m := newLone(t, func(c *Config) { c.Uptime = func() time.Duration { return time.Hour } })
			epoch := m.state.Current().Epoch
			err := m.state.Update(func(s *State) error {
				s.Duty, s.Peer = Passive, &Peer{Name: "kt02", Incarnation: "old", Key: "lost"}
				s.Pending = &Admission{Peer: Peer{Name: "kt02", Incarnation: "new", Key: "key"}, Epoch: epoch.Next()}
				s.Operation = &Operation{Kind: KindRestore, Step: stepCopying, ID: "7", Epoch: s.Pending.Epoch}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			m.duty = Passive
			met := NewEpoch(epoch.Number + row.ahead)
			m.heard(Peer{Name: "kt02", Incarnation: row.by}, time.Hour, Answer{}, &TurnedAwayError{Sentence: "no", Epoch: met})
			m.evaluate()
			f := m.state.Current().Fenced
			if (f != nil) != row.fence || f != nil && (f.Met == nil || *f.Met != met) {
				t.Errorf("fenced: %+v", f)
			}
		})
	}
}

// TestNoHostPromotesAnother: what only an operator on this host may say is not heard from the other host.
func TestNoHostPromotesAnother(t *testing.T) {
	m := newLone(t, func(*Config) {})
	for act := range acts {
		_, err := m.Operate(t.Context(), Command{Act: act, Relay: "kt02", Name: "kt02", Check: true})
		told := err != nil && err.Error() == "kt01 is told to "+string(act)+" by an operator on kt01 itself, and by no other host"
		if want := act == ActPromote || act == ActRemove; told != want {
			t.Errorf("%s: %v", act, err)
		}
	}
}
