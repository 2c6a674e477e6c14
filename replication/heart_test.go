package replication_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"

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

	const patience = 2 * time.Second // docs/protocol.md, P3
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
			if took > patience {
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
			t.Logf("the gate opened %s after the fault had ended", p.awaitOpen().Round(time.Millisecond))
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
				err = replication.PrepareStart(p.active.server, file.Current(), nil)
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

// TestGhosts ends the wait of a COMMIT for the standby in every way that PostgreSQL knows, with a passive that stands still
// and then is dead: the rows are there for PostgreSQL, are never acknowledged, and are never shown.
func TestGhosts(t *testing.T) {
	p := newPair(t)
	w := p.active.newWriter()
	for range 10 {
		w.must()
	}
	admin := p.active.connect()
	p.passive.freeze("")
	var ghosts []*write
	var pids []int
	for range 4 {
		g, _ := w.begin()
		if g.refused != nil {
			t.Fatal(g.refused)
		}
		ghosts = append(ghosts, g)
	}
	for _, g := range ghosts {
		pids = append(pids, p.backendOf(admin, g))
	}
	for i, how := range []string{"pg_cancel_backend", "pg_terminate_backend"} {
		if _, err := admin.Exec(t.Context(), "select "+how+"($1)", pids[i]); err != nil {
			t.Fatal(err)
		}
		await(t, "ghost", func() error {
			if !p.active.present(ghosts[i]) {
				return errors.New("not there")
			}
			return nil
		})
		t.Logf("evidence: after %s the row of xid %s is there for PostgreSQL", how, ghosts[i].xid)
		for range 5 {
			w.check(p.active, ghosts...)
			time.Sleep(100 * time.Millisecond)
		}
	}
	for _, pid := range p.passive.processes("") {
		unix.Kill(pid, unix.SIGKILL)
	}
	t.Log("evidence: the passive's PostgreSQL was killed")
	if err := unix.Kill(pids[2], unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await(t, "end of the active's PostgreSQL", func() error {
		if pid, running := p.active.server.Pid(); running {
			return fmt.Errorf("process %d runs", pid)
		}
		return nil
	})
	t.Log("evidence: a backend was killed and the server ended, restart_after_crash being off")

	alone := func(what string) {
		t.Helper()
		p.active.startServer()
		await(t, "the filter", func() error {
			if items, why := p.active.shown(); len(items) == 0 {
				return why
			}
			return nil
		})
		for _, g := range ghosts {
			if !p.active.present(g) {
				t.Errorf("%s: no ghost of xid %s: the test shows nothing", what, g.xid)
			}
		}
		for range 10 {
			w.check(p.active, ghosts...)
			time.Sleep(50 * time.Millisecond)
		}
		if _, why := p.active.shown(); why == nil {
			t.Errorf("%s: the host is certain that what it does not show does not exist", what)
		}
		t.Logf("evidence: %s, all %d ghosts are there for PostgreSQL", what, len(ghosts))
	}
	alone("after kill -9 of a backend and a start beside a dead passive")
	p.active.stopServer(postgres.Immediate)
	alone("after an immediate stop and a start")
	p.active.stopServer(postgres.Fast)
	alone("after a fast stop and a start")

	p.active.stop()
	p.active.stopServer(postgres.Immediate)
	p.active.startDaemon() // hours before its database
	p.active.awaitReason(replication.Starting)
	alone("cold, daemon and database")

	p.passive.startServer()
	p.awaitOpen()
	w.must()
	await(t, "the ghosts on both hosts", func() error {
		for _, h := range []*host{p.active, p.passive} {
			items, err := h.shown()
			for _, g := range ghosts {
				if err == nil && !items[g.id] {
					err = fmt.Errorf("%s does not show xid %s", h.name, g.xid)
				}
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	w.check(p.active)
	w.check(p.passive)
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("copying: %v: %s", err, out)
	}
}

// wal is a fingerprint of a stopped or running standby's own WAL: where it ends, and its bytes.
func (h *host) wal() string {
	h.t.Helper()
	end, tli, err := postgres.WALEnd(h.t.Context(), h.server.Installation, h.server.Data)
	if err != nil {
		h.t.Fatal(err)
	}
	from, err := postgres.FirstWAL(h.server.Data, tli, end)
	if err != nil {
		h.t.Fatal(err)
	}
	sum, err := postgres.HashWAL(h.server.Data, tli, from, end)
	if err != nil {
		h.t.Fatal(err)
	}
	return fmt.Sprintf("%s %x", end, sum[:8])
}

// TestStaleCopy puts an older copy of the active's data back, as it is, and after it has overtaken the passive's position
// with checkpoints and control writes of its own. Nothing opens, and the passive's data stays what it was.
func TestStaleCopy(t *testing.T) {
	p := newPair(t)
	w := p.active.newWriter()
	for range 5 {
		w.must()
	}
	data := p.active.server.Data
	stale, good := filepath.Join(p.dir, "stale"), filepath.Join(p.dir, "good")
	p.active.stopServer(postgres.Immediate)
	copyTree(t, data, stale)
	p.active.startServer()
	p.awaitOpen()
	for range 5 {
		w.must()
	}
	p.active.stop()
	p.active.stopServer(postgres.Immediate)
	if err := os.Rename(data, good); err != nil {
		t.Fatal(err)
	}
	copyTree(t, stale, data)
	before := p.passive.wal()
	t.Logf("the passive's WAL: %s", before)

	theirs := p.passive.connect() // the passive stays up all the time, ready to stream
	nothingOpens := func(want ...replication.Reason) {
		t.Helper()
		p.active.awaitReason(want...)
		await(t, "end of the passive's following", func() error {
			var conninfo string
			err := theirs.QueryRow(t.Context(), "select current_setting('primary_conninfo')").Scan(&conninfo)
			if err == nil && conninfo != "" {
				err = errors.New("it follows a start that it was not compared with")
			}
			return err
		})
		r := p.active.monitor.Report()
		t.Logf("evidence: %s", r.Sentence)
		deadline := time.Now().Add(3 * time.Second)
		conn := p.active.connect()
		for time.Now().Before(deadline) {
			if p.active.monitor.Gate().Closed() == nil {
				t.Fatal("the gate is open")
			}
			var n int
			if err := conn.QueryRow(t.Context(), "select count(*) from pg_stat_replication").Scan(&n); err != nil || n != 0 {
				t.Fatalf("%d standbys replicate from the stale copy (%v)", n, err)
			}
			time.Sleep(50 * time.Millisecond)
		}
		if hba, err := os.ReadFile(filepath.Join(p.active.server.Conf, "pg_hba.conf")); err != nil || bytes.Contains(hba, []byte("hostssl")) {
			t.Fatalf("the replication line is open (%v):\n%s", err, hba)
		}
		if after := p.passive.wal(); after != before {
			t.Errorf("the passive's WAL was %s, is %s", before, after)
		}
		w.check(p.passive)
		if _, why := p.active.shown(); why == nil {
			t.Error("the stale active is certain of what it shows")
		}
	}

	p.active.startServer()
	p.active.startDaemon()
	nothingOpens(replication.Fenced)

	p.active.stop()
	p.active.stopServer(postgres.Immediate)
	p.active.startServer()
	conn := p.active.connect()
	end, _, err := postgres.WALEnd(t.Context(), p.passive.server.Installation, p.passive.server.Data)
	if err != nil {
		t.Fatal(err)
	}
	var own postgres.LSN
	for i := 0; own <= end; i++ {
		err := replication.Control(t.Context(), conn, func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), "insert into control.boxes values ($1, 'x')", fmt.Sprint(i))
			return err
		})
		if err == nil {
			_, err = conn.Exec(t.Context(), "checkpoint")
		}
		var text string
		if err == nil {
			err = conn.QueryRow(t.Context(), "select pg_current_wal_flush_lsn()::text").Scan(&text)
		}
		if err == nil {
			own, err = postgres.ParseLSN(text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("evidence: by checkpoints and control writes the stale copy ends at %s, the passive at %s", own, end)
	p.active.startDaemon()
	nothingOpens(replication.HistoryDiffers)

	p.active.stopServer(postgres.Immediate)
	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(good, data); err != nil {
		t.Fatal(err)
	}
	p.active.startServer()
	t.Logf("with the good copy back, the gate opened after %s", p.awaitOpen().Round(time.Millisecond))
	w.must()
	w.check(p.active)
	w.check(p.passive)
}

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
	missing, starting, served := 0, 0, 0
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
				served++
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
	time.Sleep(300 * time.Millisecond)
	cancel()
	all.Wait()
	t.Logf("evidence: of %d answers before it was ready %d lacked an acknowledged row; %d answers were served", starting, missing, served)
	if missing == 0 {
		t.Log("the replay was too short to show a missing row")
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
