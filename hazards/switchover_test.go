package hazards_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

// TestH25Switchover: the hosts swap their duties under load, twice, each time onto a new timeline. Nothing that was acknowledged, by whichever
// host, is missing on either disk; and both hosts, killed and started cold, are compared across the timelines and go on.
func TestH25Switchover(t *testing.T) {
	p := confirmed(t)
	var mu sync.Mutex // guards acked
	var acked []string
	for range 2 {
		done := make(chan struct{})
		var writers sync.WaitGroup
		for _, n := range p.Nodes {
			writers.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					name := pairtest.NewKey()
					if n.Create(t, name).Status == http.StatusCreated {
						mu.Lock()
						acked = append(acked, name)
						mu.Unlock()
					}
				}
			})
		}
		before := p.Active
		begun := time.Now()
		out, errs, status := p.Active.Ktadmin(t, "cluster", "switchover")
		if status != 0 {
			t.Errorf("a switchover ended with %d: %s%s", status, out, errs)
		}
		pairtest.Await(t, 30*time.Second, "the other host takes writes", func() bool { return before.Other().Writable(t) })
		t.Logf("%s took over, and took writes after %v", before.Other().Name, time.Since(begun).Round(time.Millisecond))
		close(done)
		writers.Wait()
		if p.Roles(t); p.Active == before {
			t.Fatalf("the active is still %s", before.Name)
		}
	}
	for _, n := range p.Nodes {
		n.Kill(t)
	}
	for _, n := range p.Nodes {
		n.Start(t)
	}
	p.AwaitOpen(t, time.Now())
	p.Active.MustCreate(t)
	if t.Logf("%d keys were acknowledged", len(acked)); len(acked) == 0 {
		t.Fatal("the test shows nothing")
	}
	onBothDisks(t, p, acked...)
}
