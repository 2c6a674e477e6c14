package replication

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"keytrustee/postgres"
)

// The steps of a restore at the survivor, the passive whose active is destroyed.
const (
	stepCopying   = "copying"   // the bare host copies this one's database; Pending says which
	stepFollowing = "following" // it runs and is the active; the line that it was copied through is being closed
	stepAborting  = "aborting"  // it will not come; likewise
)

// RestoreRefusal says why no active can be restored from this host now; empty if one can. This host is whole then: it is the
// passive, was confirmed, has replayed all that it has, and nothing is heard of its active.
func (m *Monitor) RestoreRefusal() string {
	state := m.state.Current()
	s := m.statusOf(state, m.uptime())
	switch o := state.Operation; {
	case state.Duty != Passive:
		return fmt.Sprintf("%s is the active; a host that joins it is its passive: ktadmin init-slave there", state.Self)
	case state.Fenced != nil:
		return fmt.Sprintf("%s is fenced: %s", state.Self, state.Fenced.Detail)
	case o != nil && o.Kind != KindRestore:
		return fmt.Sprintf("a %s is under way on %s", o.Kind, state.Self)
	case state.Peer == nil:
		return fmt.Sprintf("%s has no active that could be restored", state.Self)
	case !s.Polled:
		return fmt.Sprintf("%s has just started and does not know yet whether %s answers; repeat the command in a moment", state.Self, s.PeerName)
	case s.HeardAge <= m.policy.AnswerLimit:
		return fmt.Sprintf("the active %s answers: nothing of it is to be restored", s.PeerName)
	case s.MessageAge <= m.policy.AnswerLimit:
		return fmt.Sprintf("the database of the active %s still sends its log: nothing of it is to be restored", s.PeerName)
	case state.LastConfirmed == 0:
		return fmt.Sprintf("%s was never confirmed by %s: acknowledged keys may be missing on it", state.Self, s.PeerName)
	case !s.Local.Answers || s.Local.Role != Standby || s.Local.SystemID != state.SystemID:
		return fmt.Sprintf("the database of %s does not answer, or is no standby of the pair: start keytrustee-db there", state.Self)
	case !s.Standing.Ready:
		return fmt.Sprintf("%s has not yet replayed all that it had confirmed; repeat the command in a moment", state.Self)
	}
	return ""
}

// AdmitRestore lets j, the bare host of the destroyed active, copy this host's database and become the active again, in the epoch
// that the admission names. When it returns, this host follows nobody any more, the slot exists, the replication line is open to
// j's certificate, and the state file says all of it. Called again, it begins anew; an earlier copy can not come back then. It
// returns a *RefusedError while RestoreRefusal has something to say.
func (m *Monitor) AdmitRestore(ctx context.Context, j Joiner) (Admission, error) {
	if p := m.state.Current().Peer; p != nil {
		m.ask(ctx, *p, Ask{}, callLimit) // what comes of it shows in the refusal
	}
	m.acting.Lock()
	defer m.acting.Unlock()
	if why := m.RestoreRefusal(); why != "" {
		return Admission{}, &RefusedError{why}
	}
	state, start := m.state.Current(), m.start()
	if j.Name != state.Peer.Name {
		return Admission{}, &RefusedError{fmt.Sprintf("the active of %s is %s, and only it can be restored; give the host that name", state.Self, state.Peer.Name)}
	}
	o := NewOperation(KindRestore, "", fmt.Sprintf("%s is being restored from %s", j.Name, state.Self), m.now())
	o.Step, o.Epoch = stepCopying, state.Epoch.Next()
	a := Admission{Peer: j.Peer, Active: Peer{Name: state.Self, Incarnation: state.Incarnation}, Epoch: o.Epoch, SystemID: state.SystemID, Operation: o.ID}
	a.StandbyName = a.Epoch.StandbyName(j.Name)
	a.Slot = a.StandbyName
	err := m.state.Update(func(s *State) error {
		if s.Fenced != nil || s.Epoch != state.Epoch {
			return &RefusedError{"the pair has changed meanwhile; look at ktadmin status"}
		}
		s.Pending, s.Operation, s.Compared = &a, o, nil
		return nil
	})
	if err != nil {
		return Admission{}, err
	}
	m.log.Warn("the active is being restored from this host", "active", j.Name, "epoch", a.Epoch.String(), "key", j.Key)
	m.standAt(start)
	return a, m.openToRestore(ctx, m.state.Current())
}

// openToRestore makes this host follow nobody, and opens its line to the host that copies it.
func (m *Monitor) openToRestore(ctx context.Context, state State) error {
	p := state.Pending
	if m.did.lent == p.Operation {
		return nil
	}
	if err := m.leave(ctx, state); err != nil {
		return err
	}
	if err := m.reached("left"); err != nil {
		return err
	}
	err := m.control.do(ctx, func(conn *pgx.Conn, _ string) error {
		if slot, err := observeSlot(ctx, conn, p.Slot); err != nil || slot != nil {
			return err
		}
		return makeSlot(ctx, conn, p.Slot, nil)
	})
	if err != nil {
		return err
	}
	if err := m.reached("slot made"); err != nil {
		return err
	}
	if err := m.writeHBA(ctx, postgres.HBA{Replication: []postgres.ReplicationPeer{{Address: p.Peer.source(), CN: p.Peer.Name}}}); err != nil {
		return err
	}
	m.did.lent = p.Operation
	return nil
}

// stepRestore takes the next step of a restore, on either host.
func (m *Monitor) stepRestore(ctx context.Context, state State, start string) (all bool, err error) {
	if state.Duty == Active {
		return false, m.stepRestored(state, start)
	}
	if start == "" || !m.statusOf(state, m.uptime()).Local.Answers {
		return false, nil
	}
	m.standAt(start)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	o := state.Operation
	if o.Step == stepCopying && state.Pending != nil {
		return false, m.openToRestore(ctx, state)
	}
	if err := m.reached("closing"); err != nil {
		return false, err
	}
	if err := m.closeAfterRestore(ctx); err != nil {
		return false, err
	}
	if err := m.reached("closed"); err != nil {
		return false, err
	}
	return false, m.state.Update(func(s *State) error {
		switch {
		case s.Operation == nil || s.Operation.ID != o.ID:
			return errUnchanged
		case o.Step == stepFollowing:
			s.endOperation(o.ID, m.now(), "%s is the active again, restored from %s; its epoch is %s", s.Peer.Name, s.Self, s.Epoch)
		default:
			s.endOperation(o.ID, m.now(), "the restore of %s was given up", s.Peer.Name)
		}
		return nil
	})
}

// closeAfterRestore closes the line of this passive, and keeps no WAL for anybody.
func (m *Monitor) closeAfterRestore(ctx context.Context) error {
	if err := m.writeHBA(ctx, postgres.HBA{}); err != nil {
		return err
	}
	m.did.lent = ""
	return m.control.do(ctx, func(conn *pgx.Conn, _ string) error { return dropSlots(ctx, conn, nil) })
}

// wentOn reports whether the host that is being restored from this one has turned it away in epoch e, which comes after the one in which
// it was to come back: it goes on alone, by the word of an operator that this host is lost.
func (s State) wentOn(from Peer, e Epoch) bool {
	p := s.Pending
	return s.Duty == Passive && p != nil && from.Name == p.Peer.Name && from.Incarnation == p.Peer.Incarnation && e.Number > p.Epoch.Number
}

// returned takes note of an answer of the host that is being restored: once its copy runs, it is the active and its epoch holds.
// What it was before, under its old key, is a stranger from then on. It reports whether the answer was of that host.
func (m *Monitor) returned(state State, a Answer) bool {
	p := state.Pending
	if p == nil || state.Duty != Passive || a.Duty != Active || a.Name != p.Peer.Name || a.Incarnation != p.Peer.Incarnation || a.Epoch != p.Epoch {
		return false
	}
	if a.Fenced != "" || !a.Server.Answers || a.Server.Role != Primary || a.Server.SystemID != state.SystemID {
		return true // not yet
	}
	first := false
	err := m.state.Update(func(s *State) error {
		if s.Pending == nil || s.Pending.Peer.Incarnation != a.Incarnation || s.Fenced != nil || s.Operation == nil {
			return errUnchanged // another answer of it came first
		}
		first = true
		s.Former = s.Peer.former(s.Pending.Epoch, m.now())
		s.Peer, s.Epoch, s.Pending, s.Compared = &s.Pending.Peer, s.Pending.Epoch, nil, nil
		s.Operation.Step = stepFollowing
		return nil
	})
	if err != nil {
		m.log.Error("the restored active can not be taken in", "active", p.Peer.Name, "error", err)
	} else if first {
		m.forgetPeer()
		m.log.Warn("the active is back, restored from this host", "active", p.Peer.Name, "epoch", p.Epoch.String())
		nudge(m.wake)
	}
	return true
}
