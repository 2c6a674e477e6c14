package replication

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"keytrustee/postgres"
)

// How long the active that hands over waits for what others do, before it takes everything back.
const (
	closeLimit  = 15 * time.Second // writes under way, and the passive's word that it knows
	stopLimit   = time.Minute      // its PostgreSQL, to end
	arriveLimit = 5 * time.Second  // the passive, to have the end of the log
)

// say tells the passive of a switchover how far it is.
func (m *Monitor) say(ctx context.Context, state State, t Takeover, limit time.Duration) (TakeoverAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	o := state.Operation
	t.ID, t.Epoch, t.By, t.Since = o.ID, o.Epoch, o.By, o.Since
	return m.caller.Takeover(ctx, *state.Peer, t)
}

// closeWrites waits, the gate shut, until the passive knows of the switchover and no write is under way. Then it takes a
// checkpoint, so that the shutdown is short, and goes on to the step from which on PostgreSQL does not start by itself.
func (m *Monitor) closeWrites(ctx context.Context, state State, start string) error {
	o := state.Operation
	err := m.quiesce(ctx, state, start)
	switch refused, ok := errors.AsType[*RefusedError](err); {
	case ok:
		return m.yieldNot(ctx, o.ID, refused.Sentence)
	case err != nil && m.waited() > closeLimit:
		return m.yieldNot(ctx, o.ID, err.Error())
	case err != nil:
		return m.note(o, err.Error())
	}
	if err := m.reached("closed"); err != nil {
		return err
	}
	return m.state.Update(func(s *State) error {
		if s.Operation == nil || s.Operation.ID != o.ID || s.Fenced != nil {
			return ErrWorldChanged
		}
		s.Operation.Step, s.Operation.Note, s.Stopped = StepStop, "", start
		return nil
	})
}

// quiesce returns nil when nothing stands in the way of a shutdown, and what does otherwise.
func (m *Monitor) quiesce(ctx context.Context, state State, start string) error {
	if start == "" {
		return fmt.Errorf("the database of %s does not run", state.Self)
	}
	if _, err := m.say(ctx, state, Takeover{Step: TakeoverPrepare}, 2*time.Second); err != nil {
		return fmt.Errorf("telling %s: %w", state.Peer.Name, err)
	}
	s := m.statusOf(state, m.uptime())
	s.Operation = nil
	if d := Decide(s, m.policy); !d.Open { // the passive has to have everything before the shutdown, and during it
		return errors.New(expand(d.because(time.Time{}), state.Self, state.Peer.Name))
	}
	if n := m.horizon.Waiting(); n > 0 {
		return fmt.Errorf("%d writes wait for %s", n, state.Peer.Name)
	}
	ctx, cancel := context.WithTimeout(ctx, closeLimit)
	defer cancel()
	return m.control.do(ctx, func(conn *pgx.Conn, of string) error {
		if of != start {
			return errRestarted
		}
		var writers int
		err := conn.QueryRow(ctx, "select count(*) from pg_stat_activity where backend_type = 'client backend' and backend_xid is not null and pid <> pg_backend_pid()").Scan(&writers)
		if err == nil && writers > 0 {
			err = fmt.Errorf("%d transactions are under way", writers)
		}
		if err == nil {
			_, err = conn.Exec(ctx, "checkpoint")
		}
		return err
	})
}

// shutDown ends PostgreSQL and waits until the passive has its log to the last byte. If it has not in time, this host is
// the active again: the passive has not been told to take over.
func (m *Monitor) shutDown(ctx context.Context, state State, start string) error {
	o := state.Operation
	if start != "" {
		if err := m.stopServer(ctx, state, start); err != nil {
			if m.waited() > stopLimit {
				return m.yieldNot(ctx, o.ID, err.Error())
			}
			return errors.Join(err, m.note(o, err.Error()))
		}
	}
	if err := m.reached("stopped"); err != nil {
		return err
	}
	b, err := m.ownEnd(ctx, state)
	if err == nil {
		err = m.arrived(ctx, state, b.End)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return m.yieldNot(ctx, o.ID, err.Error())
	}
	if err := m.reached("arrived"); err != nil {
		return err
	}
	return m.state.Update(func(s *State) error {
		if s.Operation == nil || s.Operation.ID != o.ID || s.Fenced != nil {
			return ErrWorldChanged
		}
		s.Operation.Step, s.Operation.Note = StepHand, ""
		s.Operation.From, s.Operation.End, s.Operation.Hash = b.From, b.End, b.Hash
		return nil
	})
}

// stopServer ends this start of PostgreSQL, whose parent learns that it is for an operation.
func (m *Monitor) stopServer(ctx context.Context, state State, start string) error {
	if state.Stopped != start { // another start than the one that was to be stopped
		if err := m.state.Update(func(s *State) error { s.Stopped = start; return nil }); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return m.server.Stop(ctx, postgres.Fast)
}

// ownEnd is where the log of this host, whose PostgreSQL was shut down, ends.
func (m *Monitor) ownEnd(ctx context.Context, state State) (Boundary, error) {
	ctx, cancel := context.WithTimeout(ctx, compareLimit)
	defer cancel()
	control, err := postgres.ReadControl(ctx, m.server.Installation, m.server.Data)
	if err != nil {
		return Boundary{}, err
	}
	if control.State != "shut down" {
		return Boundary{}, fmt.Errorf("PostgreSQL of %s ended without its shutdown checkpoint (%s)", state.Self, control.State)
	}
	return BoundaryOf(ctx, m.server.Installation, m.server.Data, state)
}

// arrived returns nil when the passive says that it has flushed and replayed everything up to end. It was not told to take
// over yet, so a passive that is frozen just now costs nothing but time.
func (m *Monitor) arrived(ctx context.Context, state State, end postgres.LSN) error {
	var a Answer
	var err error
	for deadline := m.uptime() + arriveLimit; m.uptime() < deadline && ctx.Err() == nil; m.pause(ctx, tick/2) {
		a, err = m.ask(ctx, *state.Peer, Ask{}, callLimit)
		if err == nil && a.Server.Answers && a.Duty == Passive && a.Epoch == state.Epoch && a.Server.SystemID == state.SystemID && a.position() >= end {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("%s does not answer after the shutdown: %w", state.Peer.Name, err)
	}
	return fmt.Errorf("%s has the log up to %s, it ends at %s", state.Peer.Name, a.position(), end)
}

// handOver tells the passive to take over, until it has answered. Its answer alone says whether it does. If it does, this
// host is its passive from then on; if it refuses, and says that it never will, this host is the active again.
func (m *Monitor) handOver(ctx context.Context, state State) error {
	o := state.Operation
	b, err := m.ownEnd(ctx, state)
	if err != nil {
		return err
	}
	if b.End != o.End {
		return fmt.Errorf("the log of %s ends at %s, and ended at %s", state.Self, b.End, o.End)
	}
	_, err = m.say(ctx, state, Takeover{Step: TakeoverTake, Boundary: &b}, 15*time.Second)
	refused, no := errors.AsType[*RefusedError](err)
	switch {
	case no:
		return m.yieldNot(ctx, o.ID, refused.Sentence)
	case err != nil:
		note := fmt.Sprintf("%s was told to take over and has not answered; whether it does is known when it answers: %v", state.Peer.Name, err)
		return errors.Join(err, m.note(o, note))
	}
	if err := m.reached("handed"); err != nil {
		return err
	}
	if err := m.server.SetSignal(postgres.StandbySignal); err != nil {
		return err
	}
	if err := m.reached("signal"); err != nil {
		return err
	}
	err = m.state.Update(func(s *State) error {
		if s.Operation == nil || s.Operation.ID != o.ID || s.Fenced != nil {
			return ErrWorldChanged
		}
		s.Duty, s.Epoch, s.Compared, s.LastConfirmed = Passive, o.Epoch, nil, o.End
		s.Operation.Step, s.Operation.Note = StepFollow, ""
		return nil
	})
	if err != nil {
		return err
	}
	m.log.Warn("this host has handed over", "to", state.Peer.Name, "epoch", o.Epoch.String(), "end", o.End.String())
	m.evaluate()
	return nil
}

// awaitFollowing ends the switchover on the host that has handed over, once the new active calls it ended. The slot of
// that one as a passive is dropped: it would keep WAL for nobody.
func (m *Monitor) awaitFollowing(ctx context.Context, state State, start string) error {
	o := state.Operation
	switch {
	case m.waited() > confirmLimit:
		return m.end(o.ID, fmt.Sprintf("%s has handed over to %s, which it does not follow yet; its epoch is %s", state.Self, state.Peer.Name, state.Epoch))
	case start == "":
		return m.note(o, fmt.Sprintf("waiting for keytrustee-db on %s to start PostgreSQL as a standby", state.Self))
	case m.following(state) == "":
		return m.note(o, fmt.Sprintf("waiting for %s to compare the log of %s with its own", state.Peer.Name, state.Self))
	}
	m.mu.Lock()
	over := m.facts.operationAt > m.pace.since && m.facts.operation != o.ID
	m.mu.Unlock()
	if !over {
		return m.note(o, fmt.Sprintf("waiting for %s to confirm what %s has", state.Peer.Name, state.Self))
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := m.control.do(ctx, func(conn *pgx.Conn, _ string) error { return dropSlots(ctx, conn, nil) }); err != nil {
		return err
	}
	if err := m.reached("following"); err != nil {
		return err
	}
	return m.end(o.ID, fmt.Sprintf("%s has taken over from %s, which follows it", state.Peer.Name, state.Self))
}

// yieldNot takes a switchover back on the active: the passive will not take over, PostgreSQL starts as the primary that it
// was, and nothing is lost, for nothing else was begun. Once the passive may have begun to take over it is asked first, and
// a *RefusedError says that it has, or does not answer. The caller holds acting.
func (m *Monitor) yieldNot(ctx context.Context, id, why string) error {
	state := m.state.Current()
	o := state.Operation
	if o == nil || o.ID != id || state.Duty != Active || o.Step == StepConfirm {
		return &RefusedError{fmt.Sprintf("the switchover is over on %s", state.Self)}
	}
	if o.Step == StepHand {
		_, err := m.say(ctx, state, Takeover{Step: TakeoverAbort, Why: why}, 2*time.Second)
		if _, refused := errors.AsType[*RefusedError](err); refused {
			return err
		}
		if err != nil {
			return &RefusedError{fmt.Sprintf("%s was told to take over and does not answer: start it, or see docs/runbook/switchover.md (%v)", state.Peer.Name, err)}
		}
	} else { // the passive can not have begun, and learns of the end at the latest from the next question
		go m.say(context.WithoutCancel(ctx), state, Takeover{Step: TakeoverAbort, Why: why}, 2*time.Second)
	}
	if err := m.server.SetSignal(postgres.NoSignal); err != nil {
		return err
	}
	return m.end(id, fmt.Sprintf("%s did not hand over to %s and is the active: %s", state.Self, state.Peer.Name, why))
}
