package replication

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"keytrustee/postgres"
)

// StepReturning is the step of a restore at the host that was restored: it is the active, and waits for the survivor to follow.
const StepReturning = "returning"

// Recovered is what a database is that was copied from the survivor, once its recovery has ended.
type Recovered struct {
	Timeline postgres.Timeline
	Position postgres.LSN      // where the timeline begins: the survivor's end
	Snapshot postgres.Snapshot // what it shows, which is on the survivor too
}

// Recover ends what a restore does to the recovered database that conn is connected to, and nobody else: its epoch is e, and
// there is a slot for the survivor. What it returns was so before.
func Recover(ctx context.Context, conn *pgx.Conn, e Epoch, survivor string) (r Recovered, err error) {
	var snapshot string
	if err := conn.QueryRow(ctx, "select pg_current_snapshot()::text").Scan(&snapshot); err != nil {
		return r, err
	}
	if r.Snapshot, err = postgres.ParseSnapshot(snapshot); err != nil {
		return r, err
	}
	server, err := observeServer(ctx, conn, "")
	if err != nil {
		return r, err
	}
	r.Timeline = server.Timeline
	if err := writeEpoch(ctx, conn, e); err != nil {
		return r, fmt.Errorf("writing the epoch: %w", err)
	}
	return r, makeSlot(ctx, conn, e.StandbyName(survivor), nil)
}

// stepRestored ends the restore at the host that was restored, when this start of its database has been compared with the
// survivor's: the gate opens as it always does.
func (m *Monitor) stepRestored(state State, start string) error {
	o, c := state.Operation, state.Compared
	if start == "" || c == nil || c.Active != start || c.Passive == "" || state.Peer == nil {
		return nil
	}
	err := m.state.Update(func(s *State) error {
		if !s.endOperation(o.ID, m.now(), "%s is the active again, restored from %s; its epoch is %s", s.Self, s.Peer.Name, s.Epoch) {
			return errUnchanged
		}
		return nil
	})
	if err == nil {
		m.log.Warn("this host was restored and is the active again", "survivor", state.Peer.Name, "epoch", state.Epoch.String())
	}
	return err
}

// returning: a host that was restored shows nothing before the survivor has taken it in. Until then the restore may be given up
// there, and a former active be put back.
func returning(s Status) Decision {
	if o := s.Operation; o != nil && o.Kind == KindRestore && s.Duty == Active {
		return shut(Restoring, "{peer} has not taken it in yet")
	}
	return fine
}
