package replication

import (
	"context"
	"fmt"

	"keytrustee/postgres"
)

// reclaim lets the active of a switchover be the active again, without the passive that it had told to take over and that is
// lost: nobody else can say whether it began to. What was acknowledged is all here, for nothing was after the shutdown. The
// epoch is one that comes after the one that the passive would have begun, so that it fences itself when it is back. The
// caller holds acting.
func (m *Monitor) reclaim(ctx context.Context, c Command) (Operated, error) {
	state := m.state.Current()
	epoch := state.Operation.Epoch.Next()
	m.ask(ctx, *state.Peer, Ask{}, callLimit) // what comes of it shows below
	m.evaluate()                              // it may be that the other host has gone on without this one
	state.Fenced = m.state.Current().Fenced
	s := m.statusOf(state, m.uptime())
	var found findings
	found.look(state.Peer.Name == c.Name, c.Name+" was told to take over", fmt.Sprintf("%s was told to take over, not %s", state.Peer.Name, c.Name), "name that one")
	found.look(state.Fenced == nil, state.Self+" is not fenced", state.Self+" is fenced", "see ktadmin status")
	found.look(s.Polled && m.waited() > m.policy.AnswerLimit && s.HeardAge > m.policy.AnswerLimit, c.Name+" does not answer", c.Name+" answers, or this host has just started", "the switchover goes on by itself")
	plan := []string{
		fmt.Sprintf("%s is the active of epoch %d, without a passive: its PostgreSQL starts with all that was acknowledged", state.Self, epoch.Number),
		"keys that are known to be on both hosts are read there; writes are refused with no_passive until a passive has joined",
		fmt.Sprintf("%s is turned away and fences itself when it is back; it joins anew with ktadmin init-slave --reclone", c.Name),
	}
	return m.goAlone(c, state, epoch, nil, found, plan)
}

// goAlone ends the operation of state, in which its active waits for a host that is lost, by the operator's word: if nothing was found
// that stands against it, the active goes on in epoch without that one. compared is what is known then of the start that runs. The caller
// holds acting.
func (m *Monitor) goAlone(c Command, state State, epoch Epoch, compared *Compared, found findings, plan []string) (Operated, error) {
	o := state.Operation
	if c.Check {
		return Operated{Host: state.Self, Findings: found, Plan: plan, Sentence: "nothing was changed"}, nil
	}
	if what := found.wrong(); what != "" {
		return Operated{}, &RefusedError{fmt.Sprintf("%s does not go on alone: %s", state.Self, what)}
	}
	if c.Confirm != Confirmation(c.Name) {
		return Operated{}, &RefusedError{fmt.Sprintf("%s does not go on alone: nobody has confirmed that %q", state.Self, Confirmation(c.Name))}
	}
	if err := m.server.SetSignal(postgres.NoSignal); err != nil {
		return Operated{}, err
	}
	err := m.state.Update(func(s *State) error {
		if s.Operation == nil || s.Operation.ID != o.ID || s.Operation.Step != o.Step || s.Fenced != nil || s.Peer == nil {
			return &RefusedError{"the pair has changed meanwhile; look at ktadmin status"}
		}
		s.Former = s.Peer.former(epoch, m.now())
		s.Epoch, s.Peer, s.Compared = epoch, nil, compared
		s.endOperation(o.ID, m.now(), "%s is the active again by the word of %s, without %s; its epoch is %s", s.Self, c.By, c.Name, epoch)
		return nil
	})
	if err != nil {
		return Operated{}, err
	}
	m.forgetPeer()
	m.evaluate()
	m.log.Warn("this host goes on alone after an operation that could not end", "kind", string(o.Kind), "by", c.By, "without", c.Name, "epoch", epoch.String())
	return Operated{Host: state.Self, Operation: o, Sentence: fmt.Sprintf("%s is the active, in epoch %s", state.Self, epoch)}, nil
}

// yields reports whether a promotion may take the place of o: there is none, or this host waits in it for an active that is
// lost.
func (o *Operation) yields() bool {
	return o == nil || o.Kind == KindSwitchover && (o.Step == StepPrepare || o.Step == StepFollow)
}
