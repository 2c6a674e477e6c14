package pairtest_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

// longReplay gives the passive much to replay at its next start, and asks it from before its first moment, without a pause, for a key that was
// acknowledged: it may say that it is starting, never that there is no such key.
func longReplay(t *testing.T, p *pairtest.Pair) {
	admin := p.Active.SQL(t)
	execute(t, p.Passive.SQL(t), "CHECKPOINT") // replay begins here
	execute(t, admin, "CREATE TABLE ballast AS SELECT n, repeat('x', 200) AS text FROM generate_series(1, 1000000) n")
	name, material := create(t, p.Active)
	end := position(t, p.Active, "pg_current_wal_flush_lsn()")
	p.Passive.Kill(t)
	p.Active.Kill(t)

	counts := map[string]int{}
	done := make(chan struct{})
	var asking sync.WaitGroup
	asking.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			a, got := p.Passive.Version(t, name, 0)
			switch {
			case a.Err != nil:
				counts["no answer"]++
			case a.Status == http.StatusServiceUnavailable && a.Class == "org.apache.hadoop.ipc.StandbyException":
				counts[a.Reason]++
			case a.Status == http.StatusOK && got == material:
				counts["served"]++
			default:
				t.Errorf("an acknowledged key: %v", a)
			}
		}
	})
	begun := time.Now()
	p.Passive.Start(t)
	pairtest.Await(t, 30*time.Second, "the passive serves the key", func() bool {
		_, got := p.Passive.Version(t, name, 0)
		return got == material
	})
	t.Logf("served %v after its start, replayed up to %v of %v", time.Since(begun).Round(time.Millisecond),
		position(t, p.Passive, "pg_last_wal_replay_lsn()"), end)
	close(done)
	asking.Wait()
	t.Logf("what it said: %v", counts)
	if counts["starting"] == 0 || counts["served"] == 0 {
		t.Error("it was never seen starting, or never serving: nothing was tested")
	}
	p.Up(t)
	execute(t, p.Active.SQL(t), "DROP TABLE ballast")
}
