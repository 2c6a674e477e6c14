package replication_test

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"keytrustee/postgres"
	"keytrustee/replication"
)

// TestReplacement replaces the passive by another host: the pair moves to a new epoch when the copy has started, and the
// one that was replaced fences itself when it is back.
func TestReplacement(t *testing.T) {
	p := newPair(t)
	w := p.active.newWriter()
	w.must()
	first := p.active.monitor.State().Epoch
	_, err := p.active.monitor.Admit(t.Context(), replication.Joiner{Peer: replication.Peer{Name: "kt03", Address: "127.0.0.1", Incarnation: "x"}})
	if _, refused := errors.AsType[*replication.RefusedError](err); !refused {
		t.Fatalf("a joiner was admitted beside a confirmed passive: %v", err)
	}
	t.Logf("evidence: %v", err)

	old := p.passive
	old.stop()
	old.stopServer(postgres.Fast)
	root, err := os.ReadFile(p.active.prover.path)
	if err != nil {
		t.Fatal(err)
	}
	p.passive = p.newHost("kt02b", root)
	p.join(p.passive, true)
	// The gate may be open still, for the passive that has just gone: what counts is the new epoch's.
	await(t, "the next epoch", func() error {
		if now := p.active.monitor.State().Epoch; now.Number != first.Number+1 {
			return fmt.Errorf("epoch %s after %s", now, first)
		}
		return nil
	})
	p.awaitOpen()
	w.must()
	w.check(p.active)
	w.check(p.passive)

	// The one that was replaced comes back, is turned away, and knows now that it lacks what was written since.
	old.startServer()
	old.startDaemon()
	old.awaitReason(replication.EpochConflict)
	await(t, "fence", func() error {
		if old.monitor.State().Fenced == nil {
			return errors.New("none")
		}
		return nil
	})
	if items, why := old.shown(); len(items) > 0 || why == nil {
		t.Errorf("the replaced passive shows %d items (%v)", len(items), why)
	}
	if closed := p.active.monitor.Gate().Closed(); closed != nil {
		t.Errorf("the gate: %v", closed)
	}
	conn := p.active.connect()
	await(t, "removal of the old slot", func() error {
		rows, err := conn.Query(t.Context(), "select slot_name from pg_replication_slots")
		if err != nil {
			return err
		}
		slots, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err == nil && len(slots) != 1 {
			err = fmt.Errorf("slots %v", slots)
		}
		return err
	})
}
