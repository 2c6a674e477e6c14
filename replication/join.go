package replication

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Joiner is a host that asks to become the passive. That it may, whoever calls Admit has found out.
type Joiner struct {
	Peer
	// Replace admits it although a passive is confirmed, or may hold what this host lacks, which is lost then.
	Replace bool
	// Itself: it is the passive of this host, and asks to be cloned anew.
	Itself bool
	// Had is where the log of the data ends that it gives up to join, stopped; nil: it was no passive, or that can not be read.
	Had *Boundary
}

// Admission is what a joiner is told: how to copy the active's data, and who it will be. It takes effect when the copy has
// been verified and answers, and, unless it was to replace that one, no passive is there; until then the present passive, if there is
// one, stays what it is.
type Admission struct {
	Peer        Peer   `json:"peer"`   // the joiner
	Active      Peer   `json:"active"` // this host; without addresses, which the joiner knows
	Epoch       Epoch  `json:"epoch"`
	SystemID    uint64 `json:"system_id,string"`
	StandbyName string `json:"standby_name"`        // application_name of the copy's connection
	Slot        string `json:"slot"`                // to copy and to stream through; it exists
	Operation   string `json:"operation,omitempty"` // of a restore: the ID of the operation, on both hosts
	Replace     bool   `json:"replace,omitempty"`   // it comes in whatever the present passive is
}

// RefusedError: the joiner is not admitted; nothing was changed.
type RefusedError struct{ Sentence string }

func (e *RefusedError) Error() string { return e.Sentence }

// Admit lets j copy this host's data. When it returns, the slot exists, the replication line is open to j's certificate,
// and the state file says so. Called again for the same host, it begins that anew; an earlier copy can not come in then.
// It returns a *RefusedError on a node that is not active, and, unless j.Replace, while a passive is confirmed, or where acknowledged
// keys may be lost by it.
func (m *Monitor) Admit(ctx context.Context, j Joiner) (Admission, error) {
	m.acting.Lock()
	defer m.acting.Unlock()
	state := m.state.Current()
	s := m.statusOf(state, m.uptime())
	switch d := Decide(s, m.policy); {
	case state.Duty != Active:
		return Admission{}, &RefusedError{fmt.Sprintf("%s is passive; join at the active", state.Self)}
	case state.Fenced != nil || s.Standing.Below != "" || !s.Local.Answers:
		return Admission{}, &RefusedError{m.closed(state, d, m.now(), false).Sentence}
	case state.Operation != nil && state.Operation.Kind != KindHold:
		return Admission{}, &RefusedError{fmt.Sprintf("a %s is under way on %s", state.Operation.Kind, state.Self)}
	case j.Name == state.Self:
		return Admission{}, &RefusedError{fmt.Sprintf("a node named %s exists: it is the active", j.Name)}
	case !j.Replace && !j.Itself && m.confirmedPeer(state, s):
		return Admission{}, &RefusedError{fmt.Sprintf("%s has the passive %s, and it is confirmed; to replace it use ktadmin join-token --replace", state.Self, state.Peer.Name)}
	}
	switch why, do, err := m.loses(ctx, state, s, j); {
	case err != nil:
		return Admission{}, err
	case why != "" && !j.Replace:
		return Admission{}, &RefusedError{fmt.Sprintf("a copy of %s may lack acknowledged keys: %s. %s", state.Self, why, do)}
	case why != "":
		m.log.Warn("a host joins by a token that replaces, and acknowledged keys may be lost", "host", j.Name, "why", why)
	}
	a := Admission{Peer: j.Peer, Active: Peer{Name: state.Self, Incarnation: state.Incarnation}, Epoch: state.Epoch, SystemID: state.SystemID, Replace: j.Replace}
	if state.Peer != nil {
		a.Epoch = state.Epoch.Next()
	}
	a.StandbyName = a.Epoch.StandbyName(j.Name)
	a.Slot = a.StandbyName
	keep := map[string]bool{}
	if state.Peer != nil {
		keep[state.Epoch.StandbyName(state.Peer.Name)] = true
	}
	if err := m.control.do(ctx, func(conn *pgx.Conn, _ string) error { return makeSlot(ctx, conn, a.Slot, keep) }); err != nil {
		return Admission{}, err
	}
	err := m.state.Update(func(s *State) error {
		if s.Operation != nil && s.Operation.Kind != KindHold {
			return &RefusedError{fmt.Sprintf("a %s is under way on %s", s.Operation.Kind, s.Self)}
		}
		if s.Fenced != nil || s.Epoch != state.Epoch || s.Duty != Active { // another joiner has come in
			return &RefusedError{"the pair has changed meanwhile; look at ktadmin status"}
		}
		s.Pending = &a
		return nil
	})
	if err != nil {
		return Admission{}, err
	}
	m.did.start = m.start()
	if err := m.writeHBA(ctx, m.allowed(m.state.Current(), s, m.did.start)); err != nil {
		return Admission{}, err
	}
	m.log.Info("a passive is joining", "passive", j.Name, "epoch", a.Epoch.String(), "incarnation", j.Incarnation)
	return a, nil
}

// confirmedPeer reports whether this host has a passive that is there.
func (m *Monitor) confirmedPeer(state State, s Status) bool {
	_, streaming := s.row()
	return state.Peer != nil && (s.PeerAge <= m.policy.AnswerLimit || streaming)
}

// started takes note of an answer of the joiner: once nothing keeps it out, it is the passive and its epoch holds. It reports
// whether that is so now.
func (m *Monitor) started(state State, a Answer) bool {
	p := state.Pending
	if p == nil || a.Name != p.Peer.Name || a.Incarnation != p.Peer.Incarnation || a.Epoch != p.Epoch || a.Duty != Passive {
		return false
	}
	if why := cmp.Or(keepsOut(state, a), m.inItsPlace(state)); why != "" {
		m.outside(p.Peer, why)
		return false
	}
	first := false
	err := m.state.Update(func(s *State) error {
		if s.Pending == nil || s.Pending.Peer.Incarnation != a.Incarnation || s.Fenced != nil {
			return errUnchanged // another answer of it came first
		}
		first = true
		if s.Peer != nil {
			s.Former = s.Peer.former(s.Pending.Epoch, m.now())
		}
		s.Peer, s.Epoch, s.Pending, s.Compared = &s.Pending.Peer, s.Pending.Epoch, nil, nil
		if s.Former != nil && s.Former.Name == s.Peer.Name {
			s.Former = nil // the same host again
		}
		return nil
	})
	if err != nil {
		m.log.Error("the passive can not be taken in", "passive", p.Peer.Name, "error", err)
		return false
	}
	if !first {
		return true
	}
	m.forgetPeer()
	m.log.Info("the passive has joined", "passive", p.Peer.Name, "epoch", p.Epoch.String())
	nudge(m.wake)
	return true
}

// keepsOut says why the joiner that answers is not the passive yet; empty if it can be. To come in fences the passive that was there, so a
// postmaster that may end again is not enough: the copy, which needs nobody for that, has to have recovered.
func keepsOut(state State, a Answer) string {
	switch {
	case a.Fenced != "":
		return fmt.Sprintf("it is fenced (%s)", a.Fenced)
	case !a.Server.Answers:
		return "its database does not answer: " + a.Server.Trouble
	case a.Server.Role != Standby || a.Server.SystemID != state.SystemID:
		return "its database is no standby of this pair"
	}
	return ""
}

// inItsPlace says why the present passive keeps its place, empty if it does not: the joiner was let in while that was away, and it has come back.
func (m *Monitor) inItsPlace(state State) string {
	if state.Peer == nil || state.Pending.Replace {
		return ""
	}
	now, there := m.uptime(), state.Peer.Name
	s := m.statusOf(state, now)
	m.mu.Lock()
	awake := now - m.facts.resumed
	m.mu.Unlock()
	_, streaming := s.row()
	answers := s.PeerAge <= m.policy.AnswerLimit && s.Peer.Incarnation == s.Incarnation // another copy is the joiner itself, under its old name
	const replace = "repeat the join with a token of ktadmin join-token --replace"
	switch v := s.Standing.Verdict; {
	case !s.Polled || awake <= m.policy.AnswerLimit:
		return fmt.Sprintf("%s has just started, or stood still, and does not know yet whether its passive %s is there", state.Self, there)
	case streaming || answers:
		return fmt.Sprintf("the passive %s is there, and %s was not let in to replace it: stop the services of %s, or %s", there, state.Pending.Peer.Name, there, replace)
	case v == Verdict(PassiveAhead) || v == Verdict(HistoryDiffers):
		return fmt.Sprintf("the passive %s holds what %s lacks (%s); if that is not wanted, %s", there, state.Self, v, replace)
	}
	return ""
}

// outside notes why the joiner p has not come in. It is logged once, whatever words a database has that starts again and again.
func (m *Monitor) outside(p Peer, why string) {
	m.mu.Lock()
	before := m.facts.outsider
	m.facts.outsider = outsider{p.Incarnation, why}
	m.mu.Unlock()
	kind := func(why string) string { before, _, _ := strings.Cut(why, ": "); return before }
	if before.incarnation != p.Incarnation || kind(before.why) != kind(why) {
		m.log.Warn("the host that was let in has not come in yet", "joiner", p.Name, "why", why)
	}
}

// Abandon gives up the admission of the host whose copy has that incarnation; empty: of whichever there is. When it returns nil
// that copy can not come in any more, and what was kept for it is gone or will be. It returns a *RefusedError where there is none,
// or where it has come in.
func (m *Monitor) Abandon(ctx context.Context, incarnation string) error {
	m.acting.Lock()
	defer m.acting.Unlock()
	var gone Admission
	err := m.state.Update(func(s *State) error {
		if s.Pending == nil || incarnation != "" && s.Pending.Peer.Incarnation != incarnation {
			return &RefusedError{fmt.Sprintf("%s waits for no such host", s.Self)}
		}
		gone, s.Pending = *s.Pending, nil
		if o := s.Operation; o != nil && o.Kind == KindRestore {
			o.Step = stepAborting
		}
		return nil
	})
	if err != nil {
		return err
	}
	m.log.Warn("a join was given up", "host", gone.Peer.Name, "epoch", gone.Epoch.String())
	start := m.start()
	if start == "" {
		return nil
	}
	m.standAt(start)
	if state := m.state.Current(); state.Duty == Active {
		err = m.writeHBA(ctx, m.allowed(state, m.statusOf(state, m.uptime()), start))
		if err == nil {
			err = m.control.do(ctx, func(conn *pgx.Conn, _ string) error { return dropSlot(ctx, conn, gone.Slot) })
		}
	} else {
		_, err = m.stepOperation(ctx, state, start)
	}
	if err != nil {
		m.log.Warn("what was kept for it is not all gone yet", "error", err)
	}
	return nil
}
