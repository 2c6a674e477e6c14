package replication

import (
	"fmt"
	"time"
)

// evaluate decides and applies: the gate first when it closes, the gate last when it opens.
func (m *Monitor) evaluate() {
	m.deciding.Lock()
	defer m.deciding.Unlock()
	now := m.uptime()
	m.mu.Lock()
	m.facts.look(now)
	m.mu.Unlock()
	state := m.state.Current()
	if state.Duty != m.duty { // under deciding, so once
		if why := m.closed(state, newDuty(state), m.now(), false); m.gate.shut(why) {
			m.tell(state, m.duty, Starting, why)
		}
		m.tellState(state)
		select {
		case <-m.changed:
		default:
			close(m.changed)
		}
		return
	}
	s := m.statusOf(state, now)
	d := Decide(s, m.policy)
	if d.Fence {
		m.fence(s, d)
		return
	}
	m.apply(state, s, d, now)
	m.tellState(state)
}

// newDuty is why a host whose duty has changed does nothing more in this process.
func newDuty(state State) Decision {
	return shut(Starting, "{self} is %s from now on and starts anew", state.Duty).better("Try again in a moment.")
}

// fence shuts the gate, makes every write that waits unknown, and puts the fence on the disk.
func (m *Monitor) fence(s Status, d Decision) {
	state := m.state.Current()
	m.apply(state, s, Decision{Reason: d.Reason, Detail: d.Detail, Remedy: d.Remedy}, m.uptime())
	m.horizon.abandon()
	f := Fence{Reason: d.Reason, Detail: expand(d.Detail, s.Self, s.PeerName), Since: m.now(), Met: d.Met}
	err := m.state.Update(func(s *State) error {
		if s.Fenced != nil {
			return errUnchanged
		}
		s.Fenced = &f
		return nil
	})
	if err != nil {
		m.log.Error("the fence can not be written; the gate stays shut", "error", err)
		return
	}
	m.log.Error("this host is fenced", "reason", f.Reason, "detail", f.Detail)
}

// apply sets the gate and the horizon by d.
func (m *Monitor) apply(state State, s Status, d Decision, now time.Duration) {
	m.gate.setWorld(fmt.Sprintf("%s in epoch %s", s.Duty, s.Epoch), claimable(d.Reason))
	m.mu.Lock()
	since := m.facts.since(d, m.now())
	m.mu.Unlock()
	why := m.closed(state, d, since, m.answers(s))
	if !d.Open {
		if d.Reason != m.said && (d.Reason == Fenced || d.Reason == EpochConflict) {
			m.forget() // what is remembered may have changed without this host, and it may read nothing any more
		}
		if m.gate.shut(why) || d.Reason != m.said {
			m.tell(state, s.Duty, d.Reason, why)
			m.beatNow() // the peer's status says how this gate stands
		}
	}
	if s.Local.Answers && s.Duty == Active && state.Fenced == nil {
		m.horizon.enter(World{s.Local.SystemID, s.Local.Timeline, s.Epoch, s.Incarnation})
	}
	if d.Open {
		// Good for as long as the newest answer is; whoever finds it past that was not looked after meanwhile.
		until := now - s.PeerAge + m.policy.HeartbeatLimit
		after := m.closed(state, Decision{Reason: Starting, Detail: "{self} stood still"}, time.Time{}, false)
		if !m.gate.admit(until, after) {
			m.said = ""
			m.beatNow()
			m.log.Info("writes open", "passive", s.PeerName, "epoch", s.Epoch.String(), "confirmed", s.Confirmed.String())
			m.tellAbout(state, Notice{Kind: GateNotice, Open: true, Since: since})
		}
	}
}

// tell logs and notes why the gate is shut, once for each reason: the one that shut it is rarely the one that keeps it shut.
func (m *Monitor) tell(s State, duty Duty, r Reason, why *ClosedError) {
	m.said = r
	n := Notice{Kind: GateNotice, Reason: r, Since: why.Since}
	if r != "" {
		n.Sentence = why.Sentence
	}
	m.tellAbout(s, n)
	switch {
	case duty == Active:
		m.log.Warn("writes closed", "reason", r, "detail", why.Sentence)
	case r == "":
		m.log.Info("this passive is in order: it serves reads and forwards writes")
	default:
		m.log.Warn("this passive is not in order", "reason", r, "detail", why.Sentence)
	}
}

// claimable reports whether claims on earlier writes are answered while the gate is shut for that reason.
func claimable(r Reason) bool {
	switch r {
	case Starting, Fenced, Restoring, EpochConflict, HistoryDiffers, PassiveAhead:
		return false
	}
	return true
}

// closed is d as an error.
func (m *Monitor) closed(state State, d Decision, since time.Time, answers bool) *ClosedError {
	peer := ""
	if state.Peer != nil {
		peer = state.Peer.Name
	}
	if d.Reason == "" { // a passive in order
		d = Decision{Reason: Starting, Detail: "{self} is the passive; {peer} takes writes"}
	}
	host := state.Self
	if peer != "" && aboutPeer[d.Reason] {
		host = peer
	}
	return &ClosedError{Reason: d.Reason, Host: host, Since: since, PeerAnswers: answers,
		Sentence: d.sentence(state.Self, peer, since)}
}

// aboutPeer are the reasons whose cause lies with the other host.
var aboutPeer = map[Reason]bool{PassiveUnreachable: true, PassiveNotStreaming: true, PassiveNotSynchronous: true, PassiveStale: true,
	ReplayPaused: true, PassiveDaemonDown: true, IdentityMismatch: true, PassiveAhead: true, NeedsClone: true, ActiveUnreachable: true}
