package replication

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"keytrustee/postgres"
)

// act brings this host's PostgreSQL to where it should be, one step at a time. What fails is tried again; nothing here
// opens the gate.
func (m *Monitor) act(ctx context.Context) {
	var trouble string
	for m.pauseOr(ctx, heartbeat, m.goOn) {
		err := m.step(ctx)
		text := ""
		if err != nil && ctx.Err() == nil {
			text = err.Error()
		}
		if text != trouble && text != "" {
			m.log.Warn("not yet as it should be", "error", text)
		}
		trouble = text
		m.mu.Lock()
		m.facts.acting = text
		m.mu.Unlock()
	}
}

// applied is what was last written for which start of this host's server; another start begins closed.
type applied struct {
	start string
	hba   *postgres.HBA
	slots string // all but these were removed
	slot  string // it is there
	lent  string // passive: the restore that this host is open to as its source
}

// standAt makes what was applied that of this start.
func (m *Monitor) standAt(start string) {
	if m.did.start != start {
		m.did = applied{start: start}
	}
}

func (m *Monitor) step(ctx context.Context) error {
	m.acting.Lock()
	defer m.acting.Unlock()
	if err := m.state.rewrite(); err != nil {
		return err
	}
	state := m.state.Current()
	start := m.start()
	if all, err := m.stepOperation(ctx, state, start); all || err != nil {
		return err
	}
	if start == "" {
		return nil
	}
	state = m.state.Current() // the step may have changed it
	m.standAt(start)
	if state.Duty == Passive {
		return m.stepPassive(ctx, state, start)
	}
	return m.stepActive(ctx, state, start)
}

// stepActive, in order: access rules as they should be now; the name that commits wait for; the comparison of histories;
// the order to follow; the epoch in the database.
func (m *Monitor) stepActive(ctx context.Context, state State, start string) error {
	s := m.statusOf(state, m.uptime())
	if err := m.writeHBA(ctx, m.allowed(state, s, start)); err != nil {
		return err
	}
	if !s.Local.Answers || s.Local.Start != start || s.Local.Role != Primary || s.Local.SystemID != state.SystemID || state.Fenced != nil || s.Standing.Below != "" {
		return nil
	}
	if err := m.writeNames(ctx, state, s); err != nil {
		return err
	}
	if state.Peer == nil {
		if err := m.dropOldSlots(ctx, state); err != nil {
			return err
		}
		return m.writeEpochRow(ctx, state, s)
	}
	if s.ReplyAge > m.policy.AnswerLimit || s.Peer.Server.Start == "" || s.Peer.Fenced != "" || s.Peer.Epoch != state.Epoch || s.Peer.Incarnation != state.Peer.Incarnation {
		return nil
	}
	if s.Standing.Verdict == "" {
		if err := m.findVerdict(ctx, state, start, s.Peer.Server.Start); err != nil {
			return err
		}
		return nil // the next step opens what it allows
	}
	if s.Standing.Verdict != VerdictCompared {
		return nil
	}
	if err := m.writeEpochRow(ctx, state, s); err != nil {
		return err
	}
	if err := m.ensureSlot(ctx, s.StandbyName); err != nil {
		return err
	}
	if s.Peer.Following != start {
		return m.order(ctx, state, start, s)
	}
	return m.dropOldSlots(ctx, state)
}

// allowed are the access rules of this moment: the passive whose start was compared with this one, and a joiner that is
// being cloned.
func (m *Monitor) allowed(state State, s Status, start string) postgres.HBA {
	var h postgres.HBA
	if state.Fenced != nil || s.Standing.Below != "" {
		return h
	}
	admit := func(p Peer) {
		h.Replication = append(h.Replication, postgres.ReplicationPeer{Address: p.source(), CN: p.Name})
	}
	// A passive that is silent keeps what it has: its next start begins with an empty primary_conninfo.
	if c := state.Compared; state.Peer != nil && c != nil && c.Active == start && c.Incarnation == state.Peer.Incarnation &&
		(s.Peer.Server.Start == "" || s.Peer.Server.Start == c.Passive) {
		admit(*state.Peer)
	}
	if p := state.Pending; p != nil {
		admit(p.Peer)
	}
	return h
}

// writeHBA makes h the access rules. Closing them also ends the connections of those who are let in no longer.
func (m *Monitor) writeHBA(ctx context.Context, h postgres.HBA) error {
	if m.did.hba != nil && slices.Equal(m.did.hba.Replication, h.Replication) {
		return nil
	}
	if err := m.server.WriteHBA(h); err != nil {
		return err
	}
	if err := m.server.Reload(ctx); err != nil {
		return err
	}
	var names []string
	for _, p := range h.Replication {
		names = append(names, p.CN)
	}
	err := m.control.do(ctx, func(conn *pgx.Conn, _ string) error {
		rows, err := observeStandbys(ctx, conn)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if r.User != postgres.Replicator || slices.Contains(names, commonName(r.ClientDN)) {
				continue // a base backup by the administrator, or one who may stay
			}
			if _, err := conn.Exec(ctx, "select pg_terminate_backend($1)", r.PID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	m.did.hba = &h
	m.log.Info("replication line", "open to", names)
	return nil
}

// writeNames makes synchronous_standby_names what it must be, wherever it was changed.
func (m *Monitor) writeNames(ctx context.Context, state State, s Status) error {
	set := settings(state, "")
	if s.Local.Settings["synchronous_standby_names"] == set.SynchronousStandbyNames {
		return nil
	}
	if err := m.server.WriteSettings(set); err != nil {
		return err
	}
	return m.server.Reload(ctx)
}

// writeEpochRow brings the epoch in the database up to the state's, once this start is known to be of its history.
func (m *Monitor) writeEpochRow(ctx context.Context, state State, s Status) error {
	if s.Local.Epoch != nil && *s.Local.Epoch == state.Epoch {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, m.policy.AnswerLimit)
	defer cancel()
	return m.control.do(ctx, func(conn *pgx.Conn, _ string) error {
		var ready bool
		if err := conn.QueryRow(ctx, "select to_regclass('control.epoch') is not null").Scan(&ready); err != nil || !ready {
			return err
		}
		return writeEpoch(ctx, conn, state.Epoch)
	})
}

// findVerdict compares the two starts, unless the state file knows them compared, and keeps the verdict. A verdict other
// than "compared" opens nothing and overwrites nothing; only another start of either server is looked at anew.
func (m *Monitor) findVerdict(ctx context.Context, state State, active, passive string) error {
	want := Compared{active, passive, state.Peer.Incarnation}
	if state.Compared != nil && *state.Compared == want {
		m.keepVerdict(want, VerdictCompared, "")
		return nil
	}
	began := time.Now()
	m.acting.Unlock() // the peer may take its time, or be frozen
	c, v, detail, err := m.compare(ctx, state)
	m.acting.Lock()
	if err != nil {
		return err
	}
	if v == VerdictCompared {
		err := m.state.Update(func(s *State) error {
			if s.Peer == nil || s.Peer.Incarnation != c.Incarnation {
				return ErrWorldChanged
			}
			s.Compared = &c
			return nil
		})
		if err != nil {
			return err
		}
	}
	m.keepVerdict(c, v, detail)
	m.log.Info("histories compared", "verdict", string(v), "detail", expand(detail, state.Self, state.Peer.Name), "took", time.Since(began))
	return nil
}

func (m *Monitor) keepVerdict(c Compared, v Verdict, detail string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.facts.standing.start == c.Active {
		m.facts.standing.verdict, m.facts.standing.detail, m.facts.standing.with = v, detail, c.Passive+" "+c.Incarnation
	}
	nudge(m.wake)
}

// ensureSlot makes the peer's slot, once in a start, if it is not there: a host that became the active has none yet.
func (m *Monitor) ensureSlot(ctx context.Context, name string) error {
	if m.did.slot == name {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	err := m.control.do(ctx, func(conn *pgx.Conn, _ string) error {
		slot, err := observeSlot(ctx, conn, name)
		if err != nil || slot != nil {
			return err
		}
		return createSlot(ctx, conn, name)
	})
	if err != nil {
		return err
	}
	m.did.slot = name
	return nil
}

// dropOldSlots removes, once, what passives of earlier epochs have left, or a joiner that was given up.
func (m *Monitor) dropOldSlots(ctx context.Context, state State) error {
	keep := map[string]bool{}
	if state.Peer != nil {
		keep[state.Epoch.StandbyName(state.Peer.Name)] = true
	}
	if state.Pending != nil {
		keep[state.Pending.Slot] = true
	}
	kept := "kept: " + strings.Join(slices.Sorted(maps.Keys(keep)), " ")
	if m.did.slots == kept {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := m.control.do(ctx, func(conn *pgx.Conn, _ string) error { return dropSlots(ctx, conn, keep) }); err != nil {
		return err
	}
	m.did.slots = kept
	return nil
}

// order tells the passive to follow this start.
func (m *Monitor) order(ctx context.Context, state State, start string, s Status) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err := m.caller.Follow(ctx, *state.Peer, Follow{Epoch: state.Epoch, Active: start, Passive: s.Peer.Server.Start, Incarnation: state.Peer.Incarnation})
	if err != nil {
		return fmt.Errorf("telling %s to follow: %w", state.Peer.Name, err)
	}
	m.beatNow()
	return nil
}
