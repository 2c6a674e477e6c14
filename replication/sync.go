package replication

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// EnableSync makes commits wait for the passive. When it returns nil the passive is the synchronous standby and the state
// file says that it has to be, for good; the gate opens as soon as everything else holds too. Called again, it makes sure.
// It returns a *RefusedError, with nothing changed, when there is no passive that streams. If ctx ends before the passive
// is synchronous, everything is as it was.
func (m *Monitor) EnableSync(ctx context.Context) error {
	m.acting.Lock()
	defer m.acting.Unlock()
	state := m.state.Current()
	s := m.statusOf(state, m.uptime())
	row, streaming := s.row()
	switch {
	case state.Duty != Active:
		return &RefusedError{fmt.Sprintf("%s is passive; enable synchronous replication at the active", state.Self)}
	case state.Fenced != nil:
		return &RefusedError{m.closed(state, Decide(s, m.policy), m.now(), false).Sentence}
	case state.Peer == nil:
		return &RefusedError{fmt.Sprintf("%s has no passive yet; join one first: ktadmin init-slave on the other host, then start its services", state.Self)}
	case state.SyncEnabled && row.SyncState == "sync":
		return nil
	case !streaming || s.Standing.Verdict != VerdictCompared:
		why := m.closed(state, Decide(s, m.policy), m.now(), false)
		return &RefusedError{fmt.Sprintf("the passive %s does not replicate yet (%s); start keytrustee-db and keytrusteed on it", state.Peer.Name, why.Reason)}
	}
	wanted := state
	wanted.SyncEnabled = true
	if err := m.server.WriteSettings(settings(wanted, "")); err != nil {
		return err
	}
	if err := m.server.Reload(ctx); err != nil {
		return err
	}
	if err := m.awaitSync(ctx, s.StandbyName); err != nil {
		return fmt.Errorf("waiting for %s to become synchronous: %w", state.Peer.Name, err)
	}
	err := m.state.Update(func(s *State) error { s.SyncEnabled = true; return nil })
	if err != nil {
		return err
	}
	m.log.Info("replication is synchronous", "passive", state.Peer.Name)
	return nil
}

func (m *Monitor) awaitSync(ctx context.Context, name string) error {
	for {
		var sync bool
		err := m.control.do(ctx, func(conn *pgx.Conn, _ string) error {
			return conn.QueryRow(ctx, "select exists (select from pg_stat_replication where application_name = $1 and sync_state = 'sync')", name).Scan(&sync)
		})
		if err != nil || sync {
			return err
		}
		if !m.pause(ctx, 50*time.Millisecond) {
			return context.Cause(ctx)
		}
	}
}
