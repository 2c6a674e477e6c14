package replication

import (
	"context"
	"errors"
	"fmt"

	"keytrustee/postgres"
)

// The steps of a switchover at the active that hands over (yield.go), and at the passive that takes over (takeover.go),
// which takes the steps of fork.go between the last two of its own.
const (
	StepClose   = "close"   // writes are refused, those under way end, the passive is told
	StepStop    = "stop"    // PostgreSQL is shut down and does not start again; the passive has its log to the end
	StepHand    = "hand"    // the passive is told to take over: from here on it alone decides
	StepFollow  = "follow"  // this host is the passive of the other one, whose log its own is compared with
	StepPrepare = "prepare" // the passive knows of the switchover
	StepConfirm = "confirm" // the passive is the active, and waits for its own passive
)

// handing reports whether PostgreSQL of an active has to stay down: it may not be the active any more.
func (o *Operation) handing() bool {
	return o != nil && o.Kind == KindSwitchover && (o.Step == StepStop || o.Step == StepHand)
}

// hands reports whether e is the epoch that o brings about: to meet it is no conflict.
func (o *Operation) hands(e Epoch) bool { return o != nil && o.Kind == KindSwitchover && o.Epoch == e }

// MayStart returns why PostgreSQL may not start on this node at present: it is fenced, or handing over.
func (s State) MayStart() error {
	switch {
	case s.Fenced != nil:
		return &postgres.SetupError{Problem: s.Self + " is fenced (" + string(s.Fenced.Reason) + "): " + s.Fenced.Detail, Remedy: s.FenceRemedy()}
	case s.Duty == Active && s.Operation.handing():
		return &postgres.SetupError{Problem: fmt.Sprintf("%s is handing over to %s (step %s)", s.Self, s.Peer.Name, s.Operation.Step),
			Remedy: "keytrusteed goes on with it, or back: start it on both hosts; ktadmin cluster switchover --abort"}
	}
	return nil
}

// switchover begins to hand the duty of the active over to the passive, given at either host. When it returns nil the
// intent is on the disk of the active, and its gate shut. With c.Check it says what would be looked at, and does nothing.
func (m *Monitor) switchover(ctx context.Context, c Command) (Operated, error) {
	state := m.state.Current()
	if state.Duty == Passive {
		return m.relay(ctx, c)
	}
	o := NewOperation(KindSwitchover, c.By, "", m.now())
	o.Step, o.Epoch = StepClose, state.Epoch.Next()
	found := m.beforeSwitchover(ctx, state, o)
	if c.Check {
		return Operated{Host: state.Self, Findings: found, Plan: switchoverPlan(state), Sentence: "nothing was changed"}, nil
	}
	if what := found.wrong(); what != "" {
		return Operated{}, &RefusedError{fmt.Sprintf("%s does not hand over: %s", state.Self, what)}
	}
	err := m.state.Update(func(s *State) error {
		if s.Operation != nil || s.Fenced != nil || s.Epoch != state.Epoch || s.Duty != Active || s.Pending != nil || s.Peer == nil {
			return &RefusedError{"the pair has changed meanwhile; look at ktadmin status"}
		}
		s.Operation = o
		return nil
	})
	if err != nil {
		return Operated{}, err
	}
	m.evaluate() // shuts the gate
	m.log.Warn("a switchover has begun", "by", c.By, "to", state.Peer.Name, "epoch", o.Epoch.String(), "id", o.ID)
	return Operated{Host: state.Self, Operation: o, Sentence: fmt.Sprintf("%s hands over to %s, which begins epoch %s", state.Self, state.Peer.Name, o.Epoch)}, nil
}

func switchoverPlan(state State) []string {
	peer := "the passive"
	if state.Peer != nil {
		peer = state.Peer.Name
	}
	return []string{
		fmt.Sprintf("%s refuses writes; those under way end; both hosts go on serving reads", state.Self),
		fmt.Sprintf("PostgreSQL of %s is shut down, and %s shows that it has the same log to the last byte; otherwise %s starts again as the active", state.Self, peer, state.Self),
		fmt.Sprintf("PostgreSQL of %s becomes a primary, on a timeline of its own, and %s the active of the epoch after %s", peer, peer, state.Epoch),
		fmt.Sprintf("%s starts as the passive of %s; writes open there when both hosts have confirmed each other", state.Self, peer),
	}
}

// abort ends the switchover that is under way, where that is still possible: until the passive has begun to take over. It
// may be given at either host. When it returns nil the old active is the active, and goes on as one.
func (m *Monitor) abort(ctx context.Context, c Command) (Operated, error) {
	state := m.state.Current()
	o := state.Operation
	why := "aborted by " + c.By
	switch {
	case (o == nil || o.Kind != KindSwitchover) && state.Duty == Passive && c.Relay == "":
		return m.relay(ctx, c) // perhaps it does not know of it yet
	case o == nil || o.Kind != KindSwitchover:
		return Operated{}, &RefusedError{fmt.Sprintf("no switchover is under way on %s", state.Self)}
	case state.Duty == Active && o.Step == StepConfirm, state.Duty == Passive && o.Step != StepPrepare:
		return Operated{}, &RefusedError{fmt.Sprintf("the switchover can only go on: it has come to the step %q on %s", o.Step, state.Self)}
	case state.Duty == Passive:
		done, err := m.relay(ctx, c)
		if _, refused := errors.AsType[*RefusedError](err); err == nil || refused {
			return done, err
		}
		// The active does not answer. Whatever it does, this host will not take over.
		if err := m.dropTakeover(o.ID, why); err != nil {
			return Operated{}, err
		}
		return Operated{Host: state.Self, Sentence: fmt.Sprintf("%s will not take over; %s does not answer, and learns it when it does", state.Self, state.Peer.Name)}, nil
	}
	m.acting.Lock()
	defer m.acting.Unlock()
	if err := m.yieldNot(ctx, o.ID, why); err != nil {
		return Operated{}, err
	}
	return Operated{Host: state.Self, Sentence: fmt.Sprintf("the switchover was aborted; %s is the active", state.Self)}, nil
}

// stepSwitchover takes the next steps of a switchover at this host.
func (m *Monitor) stepSwitchover(ctx context.Context, state State, start string) (all bool, err error) {
	for {
		step := state.Operation.Step
		if m.pace.id != state.Operation.ID || m.pace.step != step {
			m.pace = pace{state.Operation.ID, step, m.uptime()}
		}
		all, err = m.switchoverStep(ctx, state, start)
		state = m.state.Current()
		if err != nil || state.Duty != m.duty || state.Operation == nil || state.Operation.Step == step {
			return all, err
		}
		start = m.start()
	}
}

func (m *Monitor) switchoverStep(ctx context.Context, state State, start string) (all bool, err error) {
	switch state.Operation.Step {
	case StepClose:
		return false, m.closeWrites(ctx, state, start)
	case StepStop:
		return true, m.shutDown(ctx, state, start)
	case StepHand:
		return true, m.handOver(ctx, state)
	case StepFollow:
		return false, m.awaitFollowing(ctx, state, start)
	case StepPrepare:
		return false, m.awaitHandover(state)
	case StepLeave, StepFork, StepTake:
		return true, m.takeOver(ctx, state, start)
	case StepConfirm:
		return false, m.awaitConfirmed(state)
	}
	return true, errors.New("there is no such step")
}
