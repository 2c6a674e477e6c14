package replication_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"

	"keytrustee/replication"
)

// TestPassiveColdStart kills both hosts and starts the passive alone, with much to replay, while a reader asks all the time:
// whenever it is answered for certain, every acknowledged row is there.
func TestPassiveColdStart(t *testing.T) {
	p := newPair(t)
	w := p.active.newWriter()
	if _, err := p.passive.connect().Exec(t.Context(), "checkpoint"); err != nil {
		t.Fatal(err)
	}
	conn := p.active.connect()
	for range 3 {
		if _, err := conn.Exec(t.Context(), "begin; set local synchronous_commit = local; insert into noise select g, repeat('x', 300) from generate_series(1, 60000) g; commit"); err != nil {
			t.Fatal(err)
		}
		p.awaitOpen()
		await(t, "an acknowledged write", func() error {
			wr, done := w.begin()
			<-done
			if !wr.acked {
				return errors.Join(wr.refused, wr.ended)
			}
			return nil
		})
	}
	acked := 0
	w.mu.Lock()
	for _, wr := range w.writes {
		if wr.acked {
			acked++
		}
	}
	w.mu.Unlock()
	p.active.stop()
	for _, h := range []*host{p.active, p.passive} {
		for _, pid := range h.processes("") {
			unix.Kill(pid, unix.SIGKILL)
		}
	}
	await(t, "end of the passive's PostgreSQL", func() error {
		if n := len(p.passive.processes("")); n > 0 {
			return fmt.Errorf("%d processes are left", n)
		}
		return nil
	})

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all sync.WaitGroup
	missing, starting := 0, 0
	var served atomic.Int64
	all.Go(func() {
		for ctx.Err() == nil {
			// what the filter allows is asked first, as the key store does
			_, why := p.passive.monitor.Horizon().Visibility()
			n, err := countItems(ctx, p.passive)
			if err != nil {
				continue
			}
			switch {
			case why == nil && n < acked:
				t.Errorf("%d of %d acknowledged rows, served as all there is", n, acked)
				return
			case why == nil:
				served.Add(1)
			case n < acked:
				missing++
				starting++
			default:
				starting++
			}
		}
	})
	p.passive.startServer()
	await(t, "the passive's reads", func() error { _, err := p.passive.shown(); return err })
	await(t, "a served answer", func() error {
		if served.Load() == 0 && !t.Failed() {
			return errors.New("none yet")
		}
		return nil
	})
	cancel()
	all.Wait()
	t.Logf("evidence: of %d answers before it was ready %d lacked an acknowledged row; %d answers were served", starting, missing, served.Load())
	if missing == 0 {
		t.Error("the replay was too short to show a missing row: nothing was tested")
	}
	w.check(p.passive)
	p.passive.awaitReason(replication.ActiveUnreachable)
}

func countItems(ctx context.Context, h *host) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, h.server.ConnString("postgres"))
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	return n, conn.QueryRow(ctx, "select count(*) from item").Scan(&n)
}
