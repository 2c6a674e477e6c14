package hazards_test

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

// aDay is as many messages in the log, and as many checkpoints, as a day makes: a canary every quarter of a second and a checkpoint every five minutes,
// though a pair whose passive is away writes no canaries. They are written as fast as they can be.
const (
	canariesADay    = 4 * 24 * 60 * 60
	checkpointsADay = 24 * 60 / 5
)

// TestH18AbsentPassive: the passive is away for a day. What the active keeps for it stays small, and the passive goes on where it was. Then it
// is away for longer than the active may keep the log for it: the slot is given up and not the disk, the passive serves what it has, and the
// message says what to do, which brings it back.
func TestH18AbsentPassive(t *testing.T) {
	p := confirmed(t)
	known, material := p.Active.MustCreate(t)
	p.Passive.Kill(t)
	p.Active.AwaitComplaint(t, "passive_unreachable")
	begin, kept := position(t, p.Active, "pg_current_wal_insert_lsn()"), sizeOf(t, filepath.Join(p.Active.PGData, "pg_wal"))
	aDayPasses(t, p.Active)
	written := int64(position(t, p.Active, "pg_current_wal_insert_lsn()") - begin)
	grown := sizeOf(t, filepath.Join(p.Active.PGData, "pg_wal")) - kept
	t.Logf("a day without the passive: %d MiB of log were written, pg_wal grew by %d MiB", written>>20, grown>>20)
	if limit := int64(1<<30 + 256<<20); grown > limit {
		t.Errorf("pg_wal grew by %d MiB", grown>>20)
	}
	if written > 1<<30 {
		t.Errorf("a day makes %d MiB of log, more than is kept for the passive", written>>20)
	}
	p.Active.MustRefuse(t, "passive_unreachable")
	p.Up(t) // it goes on where it was
	p.Active.MustCreate(t)

	// What a longer absence does, with less log to write.
	set(t, p.Active, "max_slot_wal_keep_size", "64MB")
	set(t, p.Active, "wal_keep_size", "32MB")
	p.Passive.Kill(t)
	admin := p.Active.SQL(t)
	pairtest.Await(t, time.Minute, "the slot is lost", func() bool {
		for range 4 {
			execute(t, admin, "SELECT pg_switch_wal() FROM pg_logical_emit_message(false, 'keytrustee', 'a long absence')")
		}
		execute(t, admin, "CHECKPOINT")
		return query[string](t, admin, "SELECT wal_status FROM pg_replication_slots") == "lost"
	})
	if grown := sizeOf(t, filepath.Join(p.Active.PGData, "pg_wal")) - kept; grown > 512<<20 {
		t.Errorf("pg_wal grew by %d MiB", grown>>20)
	}
	p.Passive.Start(t)
	_, sentence := p.Active.AwaitComplaint(t, "needs_clone")
	if t.Log(sentence); !strings.Contains(sentence, "ktadmin init-slave --reclone") {
		t.Errorf("the message names no command to run: %s", sentence)
	}
	p.Active.MustRefuse(t, "needs_clone")
	p.Passive.AwaitServed(t, known, material)
	p.Active.AwaitServed(t, known, material)
	reset(t, p.Active, "max_slot_wal_keep_size")
	reset(t, p.Active, "wal_keep_size")
	p.Passive.Reclone(t)
	p.Passive.AwaitServed(t, known, material)
	p.Up(t)
	p.Active.MustCreate(t)
}

// aDayPasses does what a host does by itself in a day.
func aDayPasses(t *testing.T, n *pairtest.Node) {
	t.Helper()
	admin := n.SQL(t)
	execute(t, admin, "SET synchronous_commit = local")
	execute(t, admin, "CREATE TABLE churn AS SELECT n FROM generate_series(1, 1000) n")
	for range checkpointsADay {
		execute(t, admin, fmt.Sprintf("DO $$ BEGIN FOR i IN 1..%d LOOP PERFORM pg_logical_emit_message(true, 'keytrustee', 'canary'); COMMIT; END LOOP; END $$",
			canariesADay/checkpointsADay))
		execute(t, admin, "UPDATE churn SET n = n + 1")
		execute(t, admin, "CHECKPOINT")
	}
	execute(t, admin, "VACUUM")
	execute(t, admin, "DROP TABLE churn")
}

// sizeOf is how many bytes the files below a directory have.
func sizeOf(t *testing.T, dir string) (size int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if info, err := entry.Info(); err == nil { // else it has just been removed
			size += info.Size()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return size
}
