package replication_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"keytrustee/postgres"
	"keytrustee/replication"
)

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
// with checkpoints and control writes of its own. Nothing opens, and the passive's data stays what it was. Nor is the passive given up,
// or cloned anew, whatever of it is still there to be compared.
func TestStaleCopy(t *testing.T) {
	p := newPair(t)
	w := p.active.newWriter()
	for range 5 {
		w.must()
	}
	data := p.active.server.Data
	stale, good := filepath.Join(p.dir, "stale"), filepath.Join(p.dir, "good")
	p.active.stopServer(postgres.Immediate)
	p.awaitShut(time.Now()) // or the gate that opens below may be the one from before
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
	p.passive.stop()
	p.active.givesNobodyUp("its data is an older copy, and the good one is on kt02")
	p.passive.startDaemon()

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
	p.passive.stop()
	p.active.givesNobodyUp("are not one history")
	p.passive.startDaemon()

	// The passive's PostgreSQL ends before its daemon: what was found is of a start that is over.
	p.passive.stopServer(postgres.Fast)
	await(t, "end of the verdict", func() error {
		if v := p.active.monitor.Report().Standing.Verdict; v != "" {
			return errors.New(string(v))
		}
		return nil
	})
	p.passive.stop()
	had := p.passive.had()
	itself := replication.Joiner{Peer: *p.active.monitor.State().Peer, Itself: true}
	itself.Incarnation = replication.NewIncarnation()
	knowing, other := itself, replication.Joiner{Peer: replication.Peer{Name: "kt03", Address: "127.0.0.1", Incarnation: "x"}}
	knowing.Had = &had
	for _, when := range []string{"after the verdict", "after a restart of the daemon"} {
		t.Log(when)
		p.active.givesNobodyUp("has not been compared with that of kt02")
		p.active.refuses(itself, "has not been compared with that of kt02")
		p.active.refuses(other, "has not been compared with that of kt02")
		p.active.refuses(knowing, "are not one history")
		p.active.stop()
		p.active.startDaemon()
	}
	other.Replace = true
	p.active.admits(other)
	p.passive.startServer()
	p.passive.startDaemon()

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
