package replication

import (
	"context"
	"fmt"
	"time"
)

// longestHold is how long an operator may keep writes away with one command.
const longestHold = 7 * 24 * time.Hour

// hold shuts the gate of the active for a while. When it returns nil no write begins any more, also after a start of the
// daemon, until release, or until the time is over. A hold that is under way is replaced.
func (m *Monitor) hold(ctx context.Context, c Command) (Operated, error) {
	state := m.state.Current()
	switch {
	case c.For <= 0 || c.For > longestHold:
		return Operated{}, &RefusedError{fmt.Sprintf("a hold lasts more than nothing and at most %s; %s was asked for", longestHold, c.For)}
	case c.Note == "":
		return Operated{}, &RefusedError{"a hold wants a reason, for those who are refused"}
	case state.Duty == Passive:
		return m.relay(ctx, c)
	case state.Fenced != nil:
		return Operated{}, &RefusedError{fmt.Sprintf("%s is fenced: %s", state.Self, state.Fenced.Detail)}
	}
	o := NewOperation(KindHold, c.By, c.Note, m.now())
	o.Until = o.Since.Add(c.For)
	err := m.state.Update(func(s *State) error {
		if s.Operation != nil && s.Operation.Kind != KindHold {
			return &RefusedError{fmt.Sprintf("a %s is under way on %s", s.Operation.Kind, s.Self)}
		}
		s.Operation = o
		return nil
	})
	if err != nil {
		return Operated{}, err
	}
	m.evaluate() // shuts the gate
	m.log.Warn("writes are on hold", "by", c.By, "why", c.Note, "until", o.Until)
	return Operated{Host: state.Self, Sentence: fmt.Sprintf("%s refuses writes until %s", state.Self, o.Until.UTC().Format(stampLayout)), Operation: o}, nil
}

const stampLayout = "2006-01-02 15:04:05 UTC"

// release ends the hold of the active. The gate opens as soon as everything else allows it.
func (m *Monitor) release(ctx context.Context, c Command) (Operated, error) {
	state := m.state.Current()
	if state.Duty == Passive {
		return m.relay(ctx, c)
	}
	o := state.Operation
	if o == nil || o.Kind != KindHold {
		return Operated{}, &RefusedError{fmt.Sprintf("nobody has put the writes of %s on hold", state.Self)}
	}
	if err := m.end(o.ID, fmt.Sprintf("the hold of %s has ended: released by %s", state.Self, c.By)); err != nil {
		return Operated{}, err
	}
	return Operated{Host: state.Self, Sentence: fmt.Sprintf("the hold of %s has ended", state.Self)}, nil
}

// stepHold ends a hold whose time is over. Everything else goes on under it.
func (m *Monitor) stepHold(_ context.Context, state State, _ string) (all bool, err error) {
	o := state.Operation
	if m.now().Before(o.Until) {
		return false, nil
	}
	return false, m.end(o.ID, fmt.Sprintf("the hold of %s has ended: its time was over", state.Self))
}
