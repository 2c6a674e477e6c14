package replication

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"

	"keytrustee/postgres"
)

// Confirmation is what an operator has to say before the passive takes over from an active of that name. If it is not true,
// two hosts serve as the active, each with clients of its own.
func Confirmation(active string) string { return active + " is powered off" }

// LossConfirmation is what an operator has to say instead where data of the passive is damaged: by then ktadmin db check has said what there is
// to lose.
func LossConfirmation(active string) string {
	return Confirmation(active) + ", and what this host has lost is given up"
}

// promote makes this passive the active, without the one that it had; or lets an active whose operation waits for a host that is lost go
// on without that one. When it returns nil the intent is on the disk, and
// nothing but a sign of life of the active, in its first step, takes it back.
func (m *Monitor) promote(ctx context.Context, c Command) (Operated, error) {
	m.acting.Lock()
	defer m.acting.Unlock()
	state := m.state.Current()
	switch {
	case state.Duty == Active && state.Operation.handing() && state.Operation.Step == StepHand:
		return m.reclaim(ctx, c)
	case state.Duty == Active && state.Operation.returns() && state.Peer != nil:
		return m.outlive(ctx, c)
	case state.Duty != Passive && state.Peer != nil:
		return Operated{}, &RefusedError{fmt.Sprintf("%s is the active already; a passive that is lost is given up with ktadmin cluster remove %s", state.Self, state.Peer.Name)}
	case state.Duty != Passive:
		return Operated{}, &RefusedError{fmt.Sprintf("%s is the active already", state.Self)}
	}
	accepted := c.Confirm == LossConfirmation(c.Name)
	found := m.beforePromotion(ctx, state, c.Name, accepted)
	if c.Check {
		return Operated{Host: state.Self, Findings: found, Plan: promotionPlan(state, c.Name), Sentence: fmt.Sprintf("nothing was changed; %s would become the active", state.Self)}, nil
	}
	if what := found.wrong(); what != "" {
		return Operated{}, &RefusedError{fmt.Sprintf("%s is not promoted: %s", state.Self, what)}
	}
	if !accepted && c.Confirm != Confirmation(c.Name) {
		return Operated{}, &RefusedError{fmt.Sprintf("%s is not promoted: nobody has confirmed that %q", state.Self, Confirmation(c.Name))}
	}
	o := NewOperation(KindPromotion, c.By, c.Note, m.now())
	o.Epoch, o.Step = state.Epoch.Next(), StepLeave
	err := m.state.Update(func(s *State) error {
		if !s.Operation.yields() || s.Fenced != nil || s.Epoch != state.Epoch || s.Duty != Passive || s.Pending != nil {
			return &RefusedError{"the pair has changed meanwhile; look at ktadmin status"}
		}
		s.Operation = o
		return nil
	})
	if err != nil {
		return Operated{}, err
	}
	m.evaluate()
	m.log.Warn("this passive is being promoted", "by", c.By, "without", c.Name, "epoch", o.Epoch.String(), "losses_given_up", accepted)
	return Operated{Host: state.Self, Sentence: fmt.Sprintf("%s becomes the active, in epoch %s", state.Self, o.Epoch), Operation: o}, nil
}

func promotionPlan(state State, name string) []string {
	return []string{
		fmt.Sprintf("%s streams from %s no longer", state.Self, name),
		"its PostgreSQL replays all that it has and becomes a primary, on a timeline of its own",
		fmt.Sprintf("%s becomes the active of the epoch after %s; its keytrusteed starts anew", state.Self, state.Epoch),
		"all keys are read there; writes are refused with no_passive until a passive has joined",
		fmt.Sprintf("if %s has had another passive since it last spoke to %s, promote that one instead: it has what was written since", name, state.Self),
		fmt.Sprintf("%s is turned away and fences itself when it is back; it joins anew with ktadmin init-slave --reclone", name),
	}
}

// whileItLives is what to do instead of a promotion.
const whileItLives = "while it lives use ktadmin cluster switchover; if it is lost, switch it off first"

// beforePromotion looks at everything that a promotion depends on; at the data only if nothing else stands against it. accepted: damage of the
// data does not.
func (m *Monitor) beforePromotion(ctx context.Context, state State, name string, accepted bool) findings {
	var found findings
	active := "nobody"
	if state.Peer != nil {
		active = state.Peer.Name
		ask, cancel := context.WithTimeout(ctx, callLimit)
		m.ask(ask, *state.Peer, Ask{}, callLimit) // what comes of it shows below
		cancel()
	}
	s := m.statusOf(state, m.uptime())
	found.look(active == name, "the active of this host is "+name, "the active of this host is "+active+", not "+name, "name that one")
	found.look(state.Fenced == nil, "this host is not fenced", "this host is fenced", "it may lack what was written since; see ktadmin status")
	found.look(state.Operation.yields() && state.Pending == nil, "no other operation is under way", "another operation is under way", state.ends())
	found.look(s.Polled, "this host has looked at everything since it started or stood still", "this host has just started, or stood still, and has not looked at everything yet",
		"repeat the command in a moment")
	found.look(s.HeardAge > m.policy.AnswerLimit, active+" does not answer", active+" answers", whileItLives)
	found.look(s.MessageAge > m.policy.AnswerLimit, "the database of "+active+" sends nothing", "the database of "+active+" still sends its log", whileItLives)
	found.look(s.Local.Answers && s.Local.Role == Standby && s.Local.SystemID == state.SystemID, "the database of this host answers and is a standby",
		"the database of this host does not answer, or is no standby", "start keytrustee-db; its log says why it does not stay up")
	found.look(s.Standing.Ready, "it has replayed all that it has and all that it had confirmed", "it has not yet replayed what it had confirmed", "wait, then repeat the command")
	found.look(state.LastConfirmed != 0, "it was confirmed up to "+state.LastConfirmed.String(), "it was never confirmed by the active", "its copy may lack acknowledged keys")
	if at, ok := m.newest(ctx); ok {
		found.look(true, fmt.Sprintf("its newest change is of %s, made by %s", at.UTC().Format(stampLayout), active), "", "")
	}
	err := m.opensKeys(ctx, state)
	found.look(err == nil, "its root key opens the key-encryption keys", fmt.Sprintf("its root key does not open the key-encryption keys: %v", err), "put root.key and kek/ back into its confdir")
	found.look(s.DiskFree >= m.policy.DiskFloor && s.StateTrouble == "", "there is room on its disks", "its disks are almost full", "make room")
	if found.wrong() == "" {
		m.lookAtData(ctx, &found, name, accepted)
	}
	return found
}

// dataLimit is how long the data may be read before a promotion. Whoever waits for the host does not wait longer.
const dataLimit = 40 * time.Second

// lookAtData reads what this host has, from its disk, for up to dataLimit: what its disk has lost is lost with the active, and shows itself
// only when somebody asks for it. Damage alone stands against a promotion, and by the operator's word not even that. Where something else was in the
// way of who read, that is no reason to leave the pair without an active.
func (m *Monitor) lookAtData(ctx context.Context, found *findings, name string, accepted bool) {
	ctx, cancel := context.WithTimeout(ctx, dataLimit)
	defer cancel()
	read := m.server.StreamBaseBackup(ctx, io.Discard)
	err := read
	if m.linked != nil && !postgres.Damaged(read) {
		if rows := m.linked(ctx); rows != nil && (read == nil || postgres.Damaged(rows)) {
			err = rows
		}
	}
	switch {
	case err != nil && !postgres.Damaged(err):
		why := err.Error()
		if ctx.Err() != nil {
			why = fmt.Sprintf("it takes more than %v", dataLimit)
		}
		found.look(true, fmt.Sprintf("its data was not read to the end, and may be damaged: %s; run ktadmin db check, which reads all of it", why), "", "")
	case err != nil && accepted:
		m.log.Warn("data of this host is damaged, and its promotion goes on by the operator's word", "error", err)
	default:
		whole := err == nil
		found.look(whole, "every page of its data is as it was written, and no row of a key is missing", fmt.Sprintf("its data can not all be read: %v", err),
			fmt.Sprintf("ktadmin db check on this host says what is damaged, and which keys are left; docs/runbook/data-damaged.md says what to do then. "+
				"If it finds every version whole, or what it names may be lost: --i-confirm %q", LossConfirmation(name)))
	}
}

// newest is when the newest change was made that this host's standby has. While the pair is whole the active makes one every
// canaryPace, so a copy that is of long ago, or was put back, shows itself to whoever reads the clock.
func (m *Monitor) newest(ctx context.Context) (at time.Time, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	var of *time.Time
	err := m.control.do(ctx, func(conn *pgx.Conn, _ string) error {
		return conn.QueryRow(ctx, "select pg_last_xact_replay_timestamp()").Scan(&of)
	})
	if err != nil || of == nil {
		return time.Time{}, false
	}
	return *of, true
}

// opensKeys reports whether this host opens what it holds, by its root key.
func (m *Monitor) opensKeys(ctx context.Context, state State) error {
	ctx, cancel := context.WithTimeout(ctx, rootLimit)
	defer cancel()
	_, err := m.prover.ProveRoot(ctx, bind(newNonce(), state.Epoch, state.Self, 0))
	return err
}

// stepPromotion takes the next step towards being the active.
func (m *Monitor) stepPromotion(ctx context.Context, state State, start string) (all bool, err error) {
	o := state.Operation
	if start == "" {
		return true, fmt.Errorf("the database of %s does not run", state.Self)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	switch o.Step {
	case StepLeave:
		switch s := m.statusOf(state, m.uptime()); {
		case s.HeardAge <= m.policy.AnswerLimit:
			return true, m.end(o.ID, fmt.Sprintf("%s was not promoted: %s answers", state.Self, state.Peer.Name))
		case !s.Polled:
			return true, nil // the active has not been asked yet since this daemon started, or stood still
		}
		if err := m.leave(ctx, state); err != nil {
			return true, err
		}
		return true, m.stepInto(o.ID, StepFork)
	case StepFork:
		if forked, err := m.fork(ctx); err != nil || !forked {
			return true, err
		}
		return true, m.stepInto(o.ID, StepTake)
	case StepTake:
		return true, m.take(ctx, o.ID, func(s *State) {
			s.Former = s.Peer.former(s.Epoch, m.now())
			s.endOperation(o.ID, m.now(), "%s was promoted by %s, without %s; its epoch is %s", s.Self, o.By, s.Peer.Name, s.Epoch)
			s.Peer = nil
		})
	}
	return true, fmt.Errorf("there is no such step")
}
