package replication

import (
	"context"
	"fmt"
	"strconv"

	"keytrustee/postgres"
)

// Follow is the active's order to stream from it: it has compared the histories of these two starts and opened its line.
type Follow struct {
	Epoch       Epoch  `json:"epoch"`
	Active      string `json:"active"`  // the active's start of PostgreSQL
	Passive     string `json:"passive"` // the passive's
	Incarnation string `json:"incarnation"`
}

// Follow makes this host's PostgreSQL stream from the active, in this start of both and no other.
func (m *Monitor) Follow(ctx context.Context, f Follow) error {
	m.acting.Lock()
	defer m.acting.Unlock()
	state := m.state.Current()
	switch {
	case state.Duty != Passive || state.Peer == nil:
		return fmt.Errorf("%s is not a passive", state.Self)
	case state.Fenced != nil:
		return fmt.Errorf("%s is fenced: %s", state.Self, state.Fenced.Detail)
	case state.Pending != nil:
		return fmt.Errorf("%s follows nobody while %s is being restored from it", state.Self, state.Pending.Peer.Name)
	case f.Epoch != state.Epoch || f.Incarnation != state.Incarnation:
		return fmt.Errorf("the order is for copy %s in epoch %s, %s is copy %s in epoch %s", f.Incarnation, f.Epoch, state.Self, state.Incarnation, state.Epoch)
	case state.Operation.taking():
		return fmt.Errorf("%s is about to be the active", state.Self)
	case f.Passive != m.start():
		return fmt.Errorf("the database of %s was started anew", state.Self)
	}
	err := m.state.Update(func(s *State) error {
		s.Compared = &Compared{f.Active, f.Passive, f.Incarnation}
		return nil
	})
	if err != nil {
		return err
	}
	if err := m.writeConninfo(ctx, state, m.conninfo(state)); err != nil {
		return err
	}
	m.log.Info("following the active", "active", state.Peer.Name, "start", f.Active)
	return nil
}

func (m *Monitor) writeConninfo(ctx context.Context, state State, conninfo string) error {
	if err := m.server.WriteSettings(settings(state, conninfo)); err != nil {
		return err
	}
	return m.server.Reload(ctx)
}

// conninfo is how the passive's PostgreSQL reaches the active's: by its own certificate, and only to a server whose
// certificate bears the address.
func (m *Monitor) conninfo(s State) string {
	pairs := []string{"host", s.Peer.Address, "port", strconv.Itoa(s.Peer.DatabasePort), "user", postgres.Replicator,
		"application_name", s.Epoch.StandbyName(s.Self), "sslmode", "verify-full", "sslrootcert", m.server.TLS.CA,
		"sslcert", m.server.TLS.Cert, "sslkey", m.server.TLS.Key, "gssencmode", "disable", "connect_timeout", "2", "tcp_user_timeout", "2000",
		"keepalives_idle", "1", "keepalives_interval", "1", "keepalives_count", "2"}
	return postgres.ConnString(pairs...)
}

// following is the active's start that this host's PostgreSQL streams from; empty if it was not told to, in this start.
func (m *Monitor) following(s State) string {
	if c := s.Compared; s.Duty == Passive && c != nil && c.Passive != "" && c.Passive == m.start() && c.Incarnation == s.Incarnation {
		return c.Active
	}
	return ""
}

// stepPassive finds out where the WAL of a new start ends, and leaves an active that has been started anew: it may be an
// older copy.
func (m *Monitor) stepPassive(ctx context.Context, state State, start string) error {
	if err := m.findGoal(ctx, start); err != nil {
		return err
	}
	m.mu.Lock()
	asking := m.facts.asking
	m.mu.Unlock()
	followed := m.following(state)
	if followed == "" || followed == asking || asking == "" {
		return nil
	}
	if err := m.writeConninfo(ctx, state, ""); err != nil {
		return err
	}
	m.log.Info("the active's database was started anew; waiting to be compared with it")
	return m.state.Update(func(s *State) error {
		s.Compared = nil
		return nil
	})
}

// findGoal notes, once for each start, how far replay must come before anything is read: to the end of the WAL that this
// host had when it started, and to the last position that it had confirmed.
func (m *Monitor) findGoal(ctx context.Context, start string) error {
	m.mu.Lock()
	known := m.facts.standing.start == start && m.facts.standing.goal != 0
	m.mu.Unlock()
	if known {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, compareLimit)
	defer cancel()
	end, _, err := postgres.WALEnd(ctx, m.server.Installation, m.server.Data)
	if err != nil {
		return err
	}
	if m.start() != start {
		return errRestarted
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.facts.standing.start != start {
		m.facts.standing = examined{start: start}
	}
	m.facts.standing.goal = max(end, m.state.Current().LastConfirmed)
	return nil
}
