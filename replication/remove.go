package replication

import (
	"context"
	"fmt"
)

// NotPromoted is what an operator has to say before the active gives up a passive of that name. If it is not true, that
// passive is the active, has acknowledged writes since, and may be the only one that has them.
func NotPromoted(passive string) string { return passive + " was not promoted" }

// remove gives up the passive of that name, which must be silent. When it returns nil that host is the peer no longer and
// is told so when it is back; the epoch is the next one; and, if this host's PostgreSQL runs, its slot is gone, so that no
// WAL is kept for it. Writes stay refused, with no_passive, until another host joins.
func (m *Monitor) remove(ctx context.Context, c Command) (Operated, error) {
	m.acting.Lock()
	defer m.acting.Unlock()
	state := m.state.Current()
	if err := m.mayRemove(state, c.Name); err != nil {
		return Operated{}, err
	}
	plan := []string{
		fmt.Sprintf("if %s was promoted since %s last heard it (%s), %s is the active and has what was written since: do not remove it, leave %s off", c.Name, state.Self, m.lastHeard(state), c.Name, state.Self),
		fmt.Sprintf("%s begins the epoch after %s and has no passive: writes are refused with no_passive until one joins", state.Self, state.Epoch),
		fmt.Sprintf("the replication slot of %s is dropped, and its WAL kept no longer", c.Name),
		fmt.Sprintf("%s is turned away and fences itself when it is back; it joins anew with ktadmin init-slave --reclone", c.Name),
	}
	if c.Check {
		return Operated{Host: state.Self, Sentence: fmt.Sprintf("%s can be removed from %s", c.Name, state.Self), Plan: plan}, nil
	}
	if c.Confirm != NotPromoted(c.Name) {
		return Operated{}, &RefusedError{fmt.Sprintf("%s is not removed: nobody has confirmed that %q", c.Name, NotPromoted(c.Name))}
	}
	next := state.Epoch.Next()
	err := m.state.Update(func(s *State) error {
		if s.Peer == nil || s.Epoch != state.Epoch || s.Fenced != nil || s.Operation != nil && s.Operation.Kind != KindHold {
			return &RefusedError{"the pair has changed meanwhile; look at ktadmin status"}
		}
		if p := s.Pending; p != nil && p.Peer.Name == c.Name {
			s.Pending = nil
		}
		s.Former = s.Peer.former(next, m.now())
		s.Peer, s.Epoch = nil, next
		s.Compared = s.Compared.alone()
		return nil
	})
	if err != nil {
		return Operated{}, err
	}
	if err := m.reached("removed"); err != nil {
		return Operated{}, err
	}
	m.forgetPeer()
	m.evaluate()
	m.log.Warn("the passive was removed", "passive", c.Name, "by", c.By, "epoch", next.String())
	o := Operated{Host: state.Self, Sentence: fmt.Sprintf("%s is no longer the passive of %s, whose epoch is %s", c.Name, state.Self, next)}
	if start := m.start(); start != "" && start == m.did.start {
		if err := m.stepActive(ctx, m.state.Current(), start); err != nil { // done again until it is
			o.Sentence += "; its slot is not dropped yet: " + err.Error()
		}
	}
	return o, nil
}

// mayRemove returns a *RefusedError unless the passive of that name may be given up.
func (m *Monitor) mayRemove(state State, name string) error {
	s := m.statusOf(state, m.uptime())
	_, streams := s.row()
	lacks, instead := m.mayLack(state, s)
	refuse := func(format string, args ...any) error { return &RefusedError{fmt.Sprintf(format, args...)} }
	switch {
	case state.Duty != Active:
		return refuse("%s is passive; remove a host at the active", state.Self)
	case state.Fenced != nil:
		return refuse("%s is fenced: %s", state.Self, state.Fenced.Detail)
	case state.Peer == nil:
		return refuse("%s has no passive", state.Self)
	case state.Peer.Name != name:
		return refuse("the passive of %s is %s, not %s", state.Self, state.Peer.Name, name)
	case state.Operation != nil && state.Operation.Kind != KindHold:
		return refuse("a %s is under way on %s", state.Operation.Kind, state.Self)
	case state.Pending != nil && state.Pending.Peer.Name != name:
		return refuse("%s is joining in the place of %s; that ends with its join", state.Pending.Peer.Name, name)
	case !s.Polled:
		return refuse("%s has just started and does not know yet whether %s answers; repeat the command in a moment", state.Self, name)
	case lacks != "": // before anybody is told to stop the host that has the good copy
		return refuse("%s is not given up: %s. %s", name, lacks, instead)
	case s.HeardAge <= m.policy.AnswerLimit:
		return refuse("%s answers; stop its services first, or replace it with ktadmin join-token --replace", name)
	case streams:
		return refuse("%s still streams from %s; stop its services first, or replace it with ktadmin join-token --replace", name, state.Self)
	}
	return nil
}

// lastHeard says when the peer was last heard.
func (m *Monitor) lastHeard(state State) string {
	s := m.statusOf(state, m.uptime())
	if s.HeardAge == Never {
		return "not since its keytrusteed started"
	}
	return "at " + m.now().Add(-s.HeardAge).UTC().Format(stampLayout)
}

// alone is what a comparison leaves when the passive is given up: this start of the active is known to be of its history,
// and nobody else's is.
func (c *Compared) alone() *Compared {
	if c == nil || c.Active == "" {
		return nil
	}
	return &Compared{Active: c.Active}
}

// forgetPeer drops what was gathered of a peer that is it no longer.
func (m *Monitor) forgetPeer() {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := &m.facts
	f.peer, f.peerAt, f.replyAt, f.heardAt, f.rootAt, f.rootErr = Answer{}, 0, 0, 0, 0, ""
	f.reported, f.asking, f.canary = nil, "", nil
	f.standing.verdict, f.standing.with = "", ""
}
