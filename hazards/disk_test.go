package hazards_test

import (
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

// TestH19DiskFull: the disk of either host is full from one moment to the next. No write is acknowledged that is not on both; the other host
// goes on serving; and when there is room again, everything that was acknowledged is on both.
func TestH19DiskFull(t *testing.T) {
	p := confirmed(t)
	for _, n := range p.Nodes {
		t.Run(n.Name, func(t *testing.T) {
			known, material := p.Active.MustCreate(t)
			n.FillDisk(t)
			since := time.Now()
			underWay := make(chan pairtest.Answer, 1)
			go func() { underWay <- p.Active.Create(t, pairtest.NewKey()) }()
			p.AwaitShut(t, since, "disk_low", "starting", "passive_stale", "passive_not_streaming", "passive_unreachable", "passive_daemon_down")
			t.Logf("what was under way: %v", <-underWay)
			stays(t, 2*time.Second, "no write is acknowledged, and the other host serves", func() error {
				if _, got := n.Other().Version(t, known, 0); got != material {
					t.Fatalf("%s does not serve a key", n.Other().Name)
				}
				return acknowledged(p.Active.Create(t, pairtest.NewKey()))
			})
			_, sentence := p.Active.Complaint(t)
			t.Log(sentence)
			n.FreeDisk(t)
			p.Up(t)
			name, _ := p.Active.MustCreate(t)
			onBothDisks(t, p, known, name)
		})
	}
}
