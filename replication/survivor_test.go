package replication_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
	"keytrustee/replication"
)

// TestSurvivorGoesOn: an active is destroyed and restored from its passive, whose daemon is killed at every step that it takes, also
// when the restore is given up. Each time it goes on after its start to where it was going, and nothing that was acknowledged is
// missing. The peers know no keys of each other, as those of an earlier version: what answers under the active's name in a later epoch
// is the one that was admitted, and never a reason for the survivor to fence itself.
func TestSurvivorGoesOn(t *testing.T) {
	p := newPair(t)
	a, b := p.active, p.passive
	w := a.newWriter()
	for range 5 {
		w.must()
	}
	before := b.state.Current()
	a.stop()
	a.stopServer(postgres.Immediate)
	joiner := func() replication.Joiner {
		return replication.Joiner{Peer: replication.Peer{Name: a.name, Address: "127.0.0.1", ClusterPort: a.port, DatabasePort: a.server.Port,
			Incarnation: replication.NewIncarnation()}}
	}
	if _, err := b.monitor.AdmitRestore(t.Context(), joiner()); err == nil {
		t.Error("an active that was heard a moment ago is restored")
	}
	admit := func() (admission replication.Admission) {
		t.Helper()
		await(t, "admission", func() (err error) {
			admission, err = b.monitor.AdmitRestore(t.Context(), joiner())
			return err
		})
		return admission
	}
	stranger := joiner()
	stranger.Name = "kt09"
	await(t, "silence", func() error {
		if why := b.monitor.RestoreRefusal(); why != "" {
			return errors.New(why)
		}
		return nil
	})
	if _, err := b.monitor.AdmitRestore(t.Context(), stranger); err == nil || b.state.Current().Pending != nil {
		t.Errorf("another host is let in: %v", err)
	}

	for _, point := range []string{"left", "slot made"} {
		b.stop()
		b.startDaemonWith(func(m *replication.Monitor) {
			m.SetFailpoint(func(at string) error {
				if at == point {
					return errors.New("killed " + point)
				}
				return nil
			})
		})
		await(t, "killed at "+point, func() error {
			if _, err := b.monitor.AdmitRestore(t.Context(), joiner()); err == nil || err.Error() != "killed "+point {
				return fmt.Errorf("it ended with %v", err)
			}
			return nil
		})
		b.stop()
		b.startDaemon()
		b.lent(b.state.Current().Pending.Slot)
		for _, end := range []string{"closing", "closed"} {
			b.dyingWhile(end, func() error { return b.monitor.Abandon(t.Context(), "") })
			b.startDaemon()
			b.lent("")
			await(t, "the restore has ended", func() error {
				if s := b.state.Current(); s.Pending != nil || s.Operation != nil || s.Epoch != before.Epoch || s.Outcome.Kind != replication.KindRestore {
					return fmt.Errorf("given up, it is %+v", s)
				}
				return nil
			})
			if end == "closing" {
				admit()
				b.lent(b.state.Current().Pending.Slot)
			}
		}
	}

	admission := admit()
	b.lent(admission.Slot)
	p.restore(admission)
	a.startServer()
	a.startDaemon()
	b.dyingAt("closing")
	if s := b.state.Current(); s.Epoch != admission.Epoch || s.Peer.Incarnation != admission.Peer.Incarnation || s.Fenced != nil {
		t.Errorf("it has not taken the restored active in: %+v", s)
	}
	b.startDaemon()
	p.awaitOpen()
	b.lent("")
	for range 3 {
		w.must()
	}
	w.check(a)
	w.check(b)
	if s := a.state.Current(); s.Operation != nil || s.Outcome == nil {
		t.Errorf("the restored active is %+v", s)
	}
}

// dyingWhile is dyingAt for an operation that act ends.
func (h *host) dyingWhile(point string, act func() error) {
	h.t.Helper()
	h.stop()
	h.startDaemonWith(func(m *replication.Monitor) {
		m.SetFailpoint(func(at string) error {
			if at == point {
				return errors.New("killed " + point)
			}
			return nil
		})
	})
	await(h.t, "killed at "+point, act)
	h.stop()
}

// lent waits until h keeps WAL for that slot alone, none if it is empty, and streams from nobody meanwhile.
func (h *host) lent(slot string) {
	h.t.Helper()
	conn := h.connect()
	defer conn.Close(h.t.Context())
	await(h.t, "the slot "+strconv.Quote(slot), func() error {
		var slots []string
		if err := conn.QueryRow(h.t.Context(), "select coalesce(array_agg(slot_name::text), '{}') from pg_replication_slots").Scan(&slots); err != nil {
			return err
		}
		rules, err := os.ReadFile(h.server.Conf + "/pg_hba.conf")
		if err != nil {
			return err
		}
		line := strings.Contains(string(rules), "hostssl")
		open, shut := len(slots) == 1 && slots[0] == slot && line, len(slots) == 0 && !line
		if slot != "" && !open || slot == "" && !shut {
			return fmt.Errorf("it keeps %q, with the rules %s", slots, rules)
		}
		return nil
	})
}

// restore is what `ktadmin restore` does on the host of the active: the copy recovers alone, on a timeline of its own. Nothing is
// started when it returns.
func (p *pair) restore(admission replication.Admission) {
	p.t.Helper()
	a, b, t := p.active, p.passive, p.t
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.RemoveAll(a.server.Data))
	source := postgres.ConnString("host", "127.0.0.1", "port", strconv.Itoa(b.server.Port), "user", postgres.Replicator, "application_name", admission.StandbyName,
		"sslmode", "verify-full", "sslrootcert", a.server.TLS.CA, "sslcert", a.server.TLS.Cert, "sslkey", a.server.TLS.Key)
	must(postgres.BaseBackup(pgtest.Context(t), a.server.Installation,
		postgres.BaseBackupOptions{ConnString: source, Slot: admission.Slot, Target: a.server.Data, RunAs: a.server.RunAs}, nil))
	end, timeline, err := postgres.WALEnd(t.Context(), b.server.Installation, b.server.Data)
	must(err)
	last := postgres.SegmentStart(end - 1)
	for _, at := range []postgres.LSN{postgres.SegmentStart(last - 1), last} { // the bytes that will be compared
		name, content, err := postgres.ReadSegment(b.server.Data, timeline, at, end)
		if errors.Is(err, postgres.ErrWALGone) {
			continue
		}
		must(err)
		must(postgres.WriteSegment(a.server.Data, name, content))
		chown(t, a.server.RunAs, filepath.Join(a.server.Data, "pg_wal", name))
	}
	must(a.server.WriteHBA(postgres.HBA{}))
	must(a.server.WriteSettings(postgres.Settings{Extra: map[string]string{"restore_command": "false"}}))
	must(a.server.SetSignal(postgres.RecoverySignal))
	must(a.server.Start(pgtest.Context(t)))
	conn := a.connect()
	await(t, "the end of recovery", func() error {
		var recovers bool
		if err := conn.QueryRow(t.Context(), "select pg_is_in_recovery()").Scan(&recovers); err != nil || !recovers {
			return err
		}
		return errors.New("it recovers")
	})
	recovered, err := replication.Recover(t.Context(), conn, admission.Epoch, b.name)
	must(err)
	if at, err := postgres.Forked(a.server.Data, recovered.Timeline); err != nil || at != end {
		t.Errorf("it branches off at %s, and the survivor ends at %s: %v", at, end, err)
	}
	a.stopServer(postgres.Fast)
	a.create(replication.State{Self: a.name, Duty: replication.Active, Epoch: admission.Epoch, SystemID: admission.SystemID, Incarnation: admission.Peer.Incarnation,
		SyncEnabled: true, Confirmed: replication.Confirmed{Snapshot: recovered.Snapshot, Position: end},
		Operation: &replication.Operation{Kind: replication.KindRestore, ID: admission.Operation, Step: replication.StepReturning, Epoch: admission.Epoch},
		Peer:      &replication.Peer{Name: b.name, Address: "127.0.0.1", ClusterPort: b.port, DatabasePort: b.server.Port, Incarnation: admission.Active.Incarnation}})
}
