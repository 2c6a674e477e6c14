package replication

import (
	"context"
	"fmt"
	"time"
)

// stepper takes the next step of the operation that state holds; start names the life of this host's PostgreSQL, empty
// while it does not run. It reports whether that is all there is to do: if not, the ordinary step follows.
type stepper func(m *Monitor, ctx context.Context, state State, start string) (all bool, err error)

// steppers has a row for each kind whose operation takes steps.
var steppers = map[OperationKind]stepper{
	KindHold:       (*Monitor).stepHold,
	KindPromotion:  (*Monitor).stepPromotion,
	KindSwitchover: (*Monitor).stepSwitchover,
	KindRestore:    (*Monitor).stepRestore,
}

// stepOperation takes the next step of the operation that is under way, if there is one. The caller holds acting.
func (m *Monitor) stepOperation(ctx context.Context, state State, start string) (all bool, err error) {
	if state.Operation == nil || state.Fenced != nil {
		return false, nil
	}
	step := steppers[state.Operation.Kind]
	if step == nil {
		return false, nil
	}
	if all, err = step(m, ctx, state, start); err != nil {
		return all, fmt.Errorf("%s, step %q: %w", state.Operation.Kind, state.Operation.Step, err)
	}
	return all, nil
}

// reached lets a test end this Monitor at that point.
func (m *Monitor) reached(point string) error {
	if m.failpoint == nil {
		return nil
	}
	return m.failpoint(point)
}

// pace is how long an operation has been in its step, in this process.
type pace struct {
	id, step string
	since    time.Duration
}

// waited is how long the present step has lasted. The caller holds acting.
func (m *Monitor) waited() time.Duration { return m.uptime() - m.pace.since }

// stepInto persists that the operation of that ID has come to step. Its effects begin afterwards.
func (m *Monitor) stepInto(id, step string) error {
	if err := m.reached("into " + step); err != nil {
		return err
	}
	err := m.state.Update(func(s *State) error {
		if s.Operation == nil || s.Operation.ID != id || s.Fenced != nil {
			return ErrWorldChanged
		}
		s.Operation.Step = step
		return nil
	})
	if err == nil {
		m.log.Info("operation goes on", "id", id, "step", step)
	}
	return err
}

// note persists what the operation waits for.
func (m *Monitor) note(o *Operation, text string) error {
	return m.state.Update(func(s *State) error {
		if s.Operation == nil || s.Operation.ID != o.ID || s.Operation.Note == text {
			return errUnchanged
		}
		s.Operation.Note = text
		return nil
	})
}

// end takes the operation of that ID out of the state, if it is there still, and says how it has ended.
func (m *Monitor) end(id, sentence string) error {
	var ended *Operation
	err := m.state.Update(func(s *State) error {
		ended = s.Operation
		if !s.endOperation(id, m.now(), "%s", sentence) {
			ended = nil
			return errUnchanged
		}
		return nil
	})
	if err != nil || ended == nil {
		return err
	}
	m.evaluate()
	m.log.Warn("an operation has ended", "kind", string(ended.Kind), "how", sentence)
	return nil
}
