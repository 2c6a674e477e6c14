package replication

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"time"

	"keytrustee/postgres"
)

// Takeover is what the active of a switchover says to the passive that takes over from it.
type Takeover struct {
	Step  TakeoverStep `json:"step"`
	ID    string       `json:"id"`    // of the operation, on both hosts
	Epoch Epoch        `json:"epoch"` // the one that begins with it
	By    string       `json:"by,omitempty"`
	Since time.Time    `json:"since"`
	Why   string       `json:"why,omitempty"` // with abort
	// Boundary, with take: where the WAL of the active ends after its shutdown, and the bytes before.
	Boundary *Boundary `json:"boundary,omitempty"`
	// Source is where the call came from: whoever hears it fills that in.
	Source string `json:"-"`
}

// TakeoverStep is how far a switchover is.
type TakeoverStep string

// The steps.
const (
	TakeoverCheck   TakeoverStep = "check" // what would stand in the way; changes nothing
	TakeoverPrepare TakeoverStep = "prepare"
	TakeoverTake    TakeoverStep = "take"
	TakeoverAbort   TakeoverStep = "abort"
)

// TakeoverAnswer is how far the passive is with it.
type TakeoverAnswer struct {
	Step     string    `json:"step"`               // of its own operation
	Findings []Finding `json:"findings,omitempty"` // of a check
}

// Takeover hears what the active of a switchover says. An error that is a *RefusedError: nothing of the kind was begun, except
// that TakeoverAbort is refused where the takeover has begun. When TakeoverAbort returns nil it never will. An answer to
// TakeoverTake says that it has, for good.
func (m *Monitor) Takeover(ctx context.Context, t Takeover) (TakeoverAnswer, error) {
	m.acting.Lock()
	defer m.acting.Unlock()
	state := m.state.Current()
	o := state.Operation
	if o != nil && (o.ID != t.ID || o.Kind != KindSwitchover) {
		o = nil // another one
	}
	begun := state.Epoch == t.Epoch && state.Duty == Active || o.taking()
	switch t.Step {
	case TakeoverCheck:
		return TakeoverAnswer{Findings: m.beforeTakeover(ctx, state, t.Epoch)}, nil
	case TakeoverPrepare:
		return m.prepareTakeover(state, o, t)
	case TakeoverTake:
		switch {
		case begun:
			return TakeoverAnswer{Step: StepTake}, nil
		case o == nil && state.Outcome != nil && state.Outcome.ID == t.ID:
			return TakeoverAnswer{}, &RefusedError{state.Outcome.Sentence}
		case o == nil:
			return TakeoverAnswer{}, &RefusedError{fmt.Sprintf("%s knows of no such switchover", state.Self)}
		}
		return m.beginTakeover(ctx, state, o, t)
	case TakeoverAbort:
		if begun {
			return TakeoverAnswer{}, &RefusedError{fmt.Sprintf("%s has begun to take over", state.Self)}
		}
		return TakeoverAnswer{}, m.dropTakeover(t.ID, t.Why)
	}
	return TakeoverAnswer{}, &RefusedError{fmt.Sprintf("%s does not know the step %q of a switchover", state.Self, t.Step)}
}

// prepareTakeover persists that this host may be told to take over. A switchover that was given up is not begun again.
func (m *Monitor) prepareTakeover(state State, o *Operation, t Takeover) (TakeoverAnswer, error) {
	if o != nil {
		return TakeoverAnswer{Step: o.Step}, nil
	}
	err := m.state.Update(func(s *State) error {
		s.dropStale(t.ID, m.now())
		switch {
		case s.Duty != Passive || s.Fenced != nil || s.Peer == nil || t.Epoch.Number != s.Epoch.Number+1:
			return &RefusedError{fmt.Sprintf("%s is no passive of epoch %d", s.Self, t.Epoch.Number-1)}
		case s.Operation != nil || s.Pending != nil:
			return &RefusedError{fmt.Sprintf("another operation is under way on %s", s.Self)}
		case s.Outcome != nil && s.Outcome.ID == t.ID:
			return &RefusedError{fmt.Sprintf("%s: %s", s.Self, s.Outcome.Sentence)}
		}
		if s.Peer.Source == "" && net.ParseIP(s.Peer.Address) == nil {
			s.Peer.Source = t.Source // access rules by address need no name service
		}
		s.Operation = &Operation{Kind: KindSwitchover, Step: StepPrepare, ID: t.ID, Epoch: t.Epoch, By: t.By, Since: t.Since}
		return nil
	})
	if err != nil {
		return TakeoverAnswer{}, err
	}
	m.evaluate()
	m.log.Warn("this passive may be told to take over", "from", state.Peer.Name, "by", t.By, "epoch", t.Epoch.String(), "id", t.ID)
	return TakeoverAnswer{Step: StepPrepare}, nil
}

// dropStale ends a switchover that the active began before that one, and that this host, not having begun it, never will.
func (s *State) dropStale(id string, now time.Time) {
	if o := s.Operation; o != nil && o.Kind == KindSwitchover && o.Step == StepPrepare && o.ID != id {
		s.endOperation(o.ID, now, "the active has begun another switchover")
	}
}

// beginTakeover persists that this host takes over, after it has found the end of the active's log, byte for byte, at the
// end of its own. From then on the switchover can only go on.
func (m *Monitor) beginTakeover(ctx context.Context, state State, o *Operation, t Takeover) (TakeoverAnswer, error) {
	if err := m.hasAll(ctx, state, t.Boundary); err != nil {
		return TakeoverAnswer{}, &RefusedError{fmt.Sprintf("%s does not take over: %v", state.Self, err)}
	}
	if err := m.reached("has all"); err != nil {
		return TakeoverAnswer{}, err
	}
	err := m.state.Update(func(s *State) error {
		if s.Operation == nil || s.Operation.ID != o.ID || s.Operation.Step != StepPrepare || s.Fenced != nil || s.Duty != Passive {
			return &RefusedError{fmt.Sprintf("%s has given the switchover up", s.Self)}
		}
		s.Operation.Step, s.Operation.Note = StepLeave, ""
		s.Operation.From, s.Operation.End, s.Operation.Hash = t.Boundary.From, t.Boundary.End, t.Boundary.Hash
		return nil
	})
	if err != nil {
		return TakeoverAnswer{}, err
	}
	m.log.Warn("this passive takes over", "from", state.Peer.Name, "epoch", o.Epoch.String(), "end", t.Boundary.End.String())
	if err := m.reached("taking over"); err != nil {
		return TakeoverAnswer{}, err
	}
	return TakeoverAnswer{Step: StepLeave}, nil
}

// hasAll returns nil when this host's log ends where the active's does, has the same bytes, and is replayed.
func (m *Monitor) hasAll(ctx context.Context, state State, b *Boundary) error {
	start := m.start()
	switch {
	case b == nil:
		return fmt.Errorf("it was not told where the log ends")
	case b.Epoch != state.Epoch || b.SystemID != state.SystemID:
		return fmt.Errorf("the log is of another world")
	case start == "" || m.following(state) == "":
		return fmt.Errorf("its database does not follow the active")
	}
	if err := m.replayed(ctx, b.End); err != nil {
		return err
	}
	own := Boundary{}
	if err := m.readWAL(ctx, &own); err != nil {
		return err
	}
	hash, err := postgres.HashWAL(m.server.Data, own.Timeline, b.From, b.End)
	switch {
	case err != nil:
		return err
	case m.start() != start:
		return errRestarted
	case own.SystemID != b.SystemID || own.Timeline != b.Timeline || !bytes.Equal(own.History, b.History) || own.End != b.End || !bytes.Equal(hash, b.Hash):
		return fmt.Errorf("its log ends at %s on timeline %d, that of the active at %s on timeline %d, or the bytes before are others", own.End, own.Timeline, b.End, b.Timeline)
	}
	return nil
}

// dropTakeover persists that this host does not take over in the switchover of that ID, now or later; a *RefusedError if it
// has begun to.
func (m *Monitor) dropTakeover(id, why string) error {
	err := m.state.Update(func(s *State) error {
		o := s.Operation
		switch {
		case o != nil && o.ID == id && o.Step != StepPrepare:
			return &RefusedError{fmt.Sprintf("%s has begun to take over", s.Self)}
		case s.endOperation(id, m.now(), "%s did not take over: %s", s.Self, why):
			return nil
		case s.Outcome != nil && s.Outcome.ID == id:
			return errUnchanged
		}
		// It was never heard of. A call that is late must find it ended all the same.
		s.Outcome = &Outcome{Kind: KindSwitchover, ID: id, Ended: m.now(), Sentence: fmt.Sprintf("%s did not take over: %s", s.Self, why)}
		return nil
	})
	if err != nil {
		return err
	}
	m.evaluate()
	m.log.Warn("this passive does not take over", "why", why, "id", id)
	return nil
}

// The passive that was told of a switchover gives it up by itself when the active has, or is gone.
const (
	strayLimit   = 2 * time.Second // a question on its way may be from before the active began
	silenceLimit = time.Minute
)

// awaitHandover waits for the active to say more. While it waits this host can still be promoted, after an abort.
func (m *Monitor) awaitHandover(state State) error {
	o := state.Operation
	m.mu.Lock()
	heard, at := m.facts.operation, m.facts.operationAt
	m.mu.Unlock()
	switch {
	case at > m.pace.since+strayLimit && heard != o.ID:
		return m.dropTakeover(o.ID, "the active has given it up")
	case m.uptime()-max(at, m.pace.since) > silenceLimit:
		return m.dropTakeover(o.ID, fmt.Sprintf("%s has not been heard of for %s", state.Peer.Name, silenceLimit))
	}
	return nil
}

// patienceForReads is how long a host that takes over waits for the other one to be readable, before it starts anew itself.
const patienceForReads = 3 * time.Second

// takeOver makes this host the active, by the steps of a promotion; its peer stays its peer. Before the last one, which lets
// the daemon start anew, it waits a moment until the other host can be read.
func (m *Monitor) takeOver(ctx context.Context, state State, start string) error {
	o := state.Operation
	if start == "" {
		return m.note(o, fmt.Sprintf("waiting for keytrustee-db on %s to start PostgreSQL", state.Self))
	}
	if o.Step != StepTake { // which waits for something else
		if err := m.note(o, ""); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	switch o.Step {
	case StepLeave:
		if err := m.leave(ctx, state); err != nil {
			return err
		}
		return m.stepInto(o.ID, StepFork)
	case StepFork:
		if forked, err := m.fork(ctx); err != nil || !forked {
			return err
		}
		return m.stepInto(o.ID, StepTake)
	}
	if a, err := m.ask(ctx, *state.Peer, Ask{}, callLimit); (err != nil || a.Epoch != o.Epoch || !a.Ready) && m.waited() < patienceForReads {
		return m.note(o, fmt.Sprintf("waiting for %s to start as a passive", state.Peer.Name))
	}
	return m.take(ctx, o.ID, func(s *State) {
		s.Operation.Step, s.Operation.Note = StepConfirm, ""
		s.Former, s.Pending = nil, nil
	})
}

// confirmLimit is how long the new active calls it a switchover that its passive does not confirm yet.
const confirmLimit = 2 * time.Minute

// awaitConfirmed ends the switchover on the new active: when nothing else keeps its gate shut, or after a while, when what
// keeps it shut is no longer that it has just taken over.
func (m *Monitor) awaitConfirmed(state State) error {
	o := state.Operation
	s := m.statusOf(state, m.uptime())
	s.Operation = nil
	d := Decide(s, m.policy)
	switch why := expand(d.because(time.Time{}), state.Self, state.Peer.Name); {
	case d.Open:
		if err := m.reached("confirmed"); err != nil {
			return err
		}
		return m.end(o.ID, fmt.Sprintf("%s has taken over from %s, which follows it; its epoch is %s", state.Self, state.Peer.Name, state.Epoch))
	case m.waited() > confirmLimit:
		return m.end(o.ID, fmt.Sprintf("%s has taken over from %s, which does not follow it yet; its epoch is %s", state.Self, state.Peer.Name, state.Epoch))
	default:
		return m.note(o, why)
	}
}
