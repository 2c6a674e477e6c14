package replication_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"keytrustee/postgres"
	"keytrustee/replication"
)

// TestFaults stops one part of a working pair after another. Each time the gate shuts, a write that was under way is
// neither acknowledged nor shown, one that comes later is refused at once, and when the part goes on everything settles.
func TestFaults(t *testing.T) {
	p := newPair(t)
	w := p.active.newWriter()

	t.Run("200 writes at once", func(t *testing.T) {
		began := time.Now()
		var all sync.WaitGroup
		for range 200 {
			all.Go(func() { w.must() })
		}
		all.Wait()
		t.Logf("200 concurrent writes acknowledged in %s", time.Since(began).Round(time.Millisecond))
		w.check(p.active)
		w.check(p.passive)
	})

	t.Run("an idle pair wears no disk", func(t *testing.T) {
		stat := func() (times [2]time.Time) {
			for i, h := range []*host{p.active, p.passive} {
				info, err := os.Stat(h.statePath())
				if err != nil {
					t.Fatal(err)
				}
				times[i] = info.ModTime()
			}
			return times
		}
		await(t, "three quiet seconds", func() error {
			before := stat()
			time.Sleep(3 * time.Second)
			if after := stat(); after != before {
				return errors.New("a state file was written")
			}
			return nil
		})
	})

	const shutLimit, openLimit = 1500 * time.Millisecond, 3 * time.Second // docs/testing.md
	for _, fault := range []struct {
		name   string
		happen func() (undo func())
		wants  []replication.Reason
	}{
		{"every process of the passive's PostgreSQL stands still", func() func() { return p.passive.freeze("") },
			[]replication.Reason{replication.PassiveStale, replication.PassiveNotStreaming}},
		{"the passive's replay stands still", func() func() { return p.passive.freeze("startup recovering") },
			[]replication.Reason{replication.PassiveStale}},
		{"the active's walsender stands still", func() func() { return p.active.freeze("walsender") },
			[]replication.Reason{replication.PassiveStale}},
		{"replay is paused", func() func() {
			conn := p.passive.connect()
			if _, err := conn.Exec(t.Context(), "select pg_wal_replay_pause()"); err != nil {
				t.Fatal(err)
			}
			return func() { conn.Exec(context.Background(), "select pg_wal_replay_resume()") }
		}, []replication.Reason{replication.ReplayPaused, replication.PassiveStale}},
		{"the passive's daemon takes calls and answers none", func() func() { p.passive.freezeDaemon(); return p.passive.thawDaemon },
			[]replication.Reason{replication.PassiveDaemonDown}},
		{"the passive's daemon is gone", func() func() { p.passive.stop(); return p.passive.startDaemon },
			[]replication.Reason{replication.PassiveDaemonDown}},
		{"the whole passive stands still", func() func() {
			thaw := p.passive.freeze("")
			p.passive.freezeDaemon()
			return func() { thaw(); p.passive.thawDaemon() }
		}, []replication.Reason{replication.PassiveStale, replication.PassiveDaemonDown, replication.PassiveUnreachable}}, // its database may be seen first
	} {
		t.Run(fault.name, func(t *testing.T) {
			p.awaitOpen()
			w.must()
			undo := fault.happen()
			began := time.Now()
			underway, done := w.begin()
			took, closed := p.awaitShut(began)
			t.Logf("evidence: the gate shut after %s: %s", took.Round(time.Millisecond), closed.Sentence)
			if took > shutLimit {
				t.Errorf("the gate shut after %s", took)
			}
			if !slices.Contains(fault.wants, closed.Reason) {
				t.Errorf("reason %s, want one of %s", closed.Reason, fault.wants)
			}
			asked := time.Now()
			if late, _ := w.begin(); late.refused == nil {
				t.Error("a write was begun though the gate is shut")
			} else if took := time.Since(asked); took > 100*time.Millisecond {
				t.Errorf("it took %s to refuse", took)
			}
			for range 20 {
				w.check(p.active, underway)
				time.Sleep(100 * time.Millisecond)
			}
			if underway.refused != nil {
				t.Fatalf("the write under way was refused: %v", underway.refused)
			}
			undo()
			if took := p.awaitOpen(); took > openLimit {
				t.Errorf("the gate opened %s after the fault had ended", took)
			}
			select {
			case <-done:
			case <-time.After(20 * time.Second):
				t.Fatal("the write under way does not settle")
			}
			if !underway.acked {
				t.Errorf("the write under way was not acknowledged in the end: %v", underway.ended)
			}
			w.check(p.active)
			w.check(p.passive)
		})
	}

	t.Run("the active's daemon is started anew", func(t *testing.T) {
		p.awaitOpen()
		p.active.stop()
		if closed := p.active.monitor.Gate().Closed(); closed == nil {
			t.Error("the gate of a daemon that has stopped is open")
		}
		p.active.startDaemon()
		if _, _, err := p.active.monitor.Gate().Enter(t.Context()); err == nil {
			t.Error("the gate was open before anything was asked")
		}
		t.Logf("the gate opened after %s; neither database was started anew, so their comparison stands", p.awaitOpen().Round(time.Millisecond))
		w.must()
		w.check(p.active)
	})

	t.Run("the passive opens a row to something else", func(t *testing.T) {
		p.awaitOpen()
		good, err := os.ReadFile(p.passive.prover.path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p.passive.prover.path, []byte("another root key, and its material"), 0o600); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		underway, done := w.begin()
		took, closed := p.awaitShut(began)
		t.Logf("evidence: the gate shut after %s: %s", took.Round(time.Millisecond), closed.Sentence)
		if closed.Reason != replication.RootKeyMismatch {
			t.Errorf("reason %s", closed.Reason)
		}
		time.Sleep(time.Second)
		if underway.acked {
			t.Error("the write was acknowledged")
		}
		if !p.passive.present(underway) {
			t.Error("the row is not on the passive: the proof was not what held it back")
		}
		if err := os.WriteFile(p.passive.prover.path, good, 0o600); err != nil {
			t.Fatal(err)
		}
		p.awaitOpen()
		<-done
		w.check(p.active)
	})

	t.Run("an epoch of which this host knows nothing", func(t *testing.T) {
		p.awaitOpen()
		p.passive.stop()
		state, err := replication.OpenState(p.passive.statePath())
		if err != nil {
			t.Fatal(err)
		}
		s := state.Current()
		s.Epoch = s.Epoch.Next()
		p.passive.create(s)
		p.passive.startDaemon()
		p.active.awaitReason(replication.EpochConflict)
		await(t, "fence on the disk", func() error {
			file, err := replication.OpenState(p.active.statePath())
			if err == nil && file.Current().Fenced == nil {
				err = errors.New("the state file knows no fence")
			}
			if err == nil {
				t.Logf("evidence: %+v", *file.Current().Fenced)
				err = replication.PrepareStart(p.active.server, file.Current())
				if _, refused := errors.AsType[*postgres.SetupError](err); refused {
					return nil
				}
				return fmt.Errorf("a fenced host may start its database: %v", err)
			}
			return err
		})
		if items, why := p.active.shown(); len(items) > 0 || why == nil {
			t.Errorf("a fenced host shows %d items (%v)", len(items), why)
		}
	})
}

// backendOf is the process on the active that runs the transaction, once it waits for the standby.
func (p *pair) backendOf(conn *pgx.Conn, wr *write) (pid int) {
	p.t.Helper()
	await(p.t, "backend that waits", func() error {
		return conn.QueryRow(p.t.Context(), "select pid from pg_stat_activity where wait_event = 'SyncRep' and backend_xid = $1::text::xid8::xid", wr.xid.String()).Scan(&pid)
	})
	return pid
}
