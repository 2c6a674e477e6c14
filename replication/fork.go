package replication

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// The steps by which a passive becomes the active, in order. A promotion consists of them; a switchover comes to them once
// its passive has everything. In the first one it can still be given up.
const (
	StepLeave = "leave" // stream from nobody, in no start
	StepFork  = "fork"  // PostgreSQL becomes a primary, on a timeline of its own
	StepTake  = "take"  // the duty, with the epoch that begins
)

// taking reports whether o is about to make this host the active: nobody may tell it to follow any more.
func (o *Operation) taking() bool {
	return o != nil && (o.Step == StepLeave || o.Step == StepFork || o.Step == StepTake)
}

// forking reports whether PostgreSQL may be a standby still, or a primary already.
func (o *Operation) forking() bool { return o != nil && (o.Step == StepFork || o.Step == StepTake) }

// leave makes this host's standby stream from nobody. When it returns nil no WAL arrives any more, also after a start: no
// comparison stands that would let it follow again.
func (m *Monitor) leave(ctx context.Context, state State) error {
	err := m.state.Update(func(s *State) error {
		if s.Compared == nil {
			return errUnchanged
		}
		s.Compared = nil
		return nil
	})
	if err != nil {
		return err
	}
	if err := m.writeConninfo(ctx, state, ""); err != nil {
		return err
	}
	return m.control.do(ctx, func(conn *pgx.Conn, _ string) error {
		var receives bool
		if err := conn.QueryRow(ctx, "select exists (select from pg_stat_wal_receiver)").Scan(&receives); err != nil {
			return err
		}
		if receives {
			return fmt.Errorf("the WAL receiver of %s has not ended yet", state.Self)
		}
		return nil
	})
}

// fork makes this host's standby a primary, on a timeline of its own that begins where its WAL ends. It reports whether it
// is one now; if not, it was told to become one, and replays what it has first. Called again, it makes sure.
func (m *Monitor) fork(ctx context.Context) (forked bool, err error) {
	err = m.control.do(ctx, func(conn *pgx.Conn, _ string) error {
		if err := conn.QueryRow(ctx, "select not pg_is_in_recovery()").Scan(&forked); err != nil || forked {
			return err
		}
		_, err := conn.Exec(ctx, "select pg_promote(false)")
		return err
	})
	return forked, err
}

// take makes this host the active, in the epoch of the operation of that ID, in one change of the state file; also is that
// change's part that belongs to the operation. Everything that its database shows is confirmed, for the genuine passive that it was
// showed nothing else. The Monitor ends with ErrDutyChanged then.
func (m *Monitor) take(ctx context.Context, id string, also func(*State)) error {
	var start string
	err := m.control.do(ctx, func(conn *pgx.Conn, of string) error {
		var recovers bool
		err := conn.QueryRow(ctx, "select pg_is_in_recovery()").Scan(&recovers)
		if err == nil && recovers {
			return fmt.Errorf("the database is a standby again")
		}
		start = of
		return err
	})
	if err != nil {
		return err
	}
	c, err := m.emit(ctx) // what its snapshot sees is on this disk: no number that it calls ended is given away again after a crash
	if err != nil {
		return err
	}
	if m.start() != start {
		return errRestarted
	}
	if err := m.reached("taking"); err != nil {
		return err
	}
	err = m.state.Update(func(s *State) error {
		o := s.Operation
		if o == nil || o.ID != id || s.Fenced != nil || s.Duty != Passive {
			return ErrWorldChanged
		}
		s.Duty, s.Epoch, s.SyncEnabled = Active, o.Epoch, true
		s.Confirmed, s.LastConfirmed = Confirmed{Snapshot: c.snapshot, Position: c.at}, 0
		s.Compared = &Compared{Active: start}
		also(s)
		return nil
	})
	if err != nil {
		return err
	}
	m.log.Warn("this host is the active", "epoch", m.state.Current().Epoch.String(), "from", c.at.String())
	m.evaluate()
	return nil
}
