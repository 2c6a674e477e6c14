package replication_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"keytrustee/postgres"
	"keytrustee/replication"
)

// tell keeps what the monitor tells.
func (h *host) tell(n replication.Notice) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.told = append(h.told, n)
}

// notices are what the monitor told so far.
func (h *host) notices() []replication.Notice {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.told)
}

// TestReport: what each host says of itself, and is told by the other, has everything that an operator looks for; a passive
// that dies is told of with its reason, in the order in which things happened.
func TestReport(t *testing.T) {
	p := newPair(t)
	w := p.active.newWriter()
	w.must()
	a := p.active.monitor.Report()
	if len(a.Standbys) != 1 || a.Slot == nil {
		t.Fatalf("the active sees the standbys %+v and the slot %+v", a.Standbys, a.Slot)
	}
	row := a.Standbys[0]
	if row.WriteLSN < row.FlushLSN || row.FlushLSN == 0 || row.Since.IsZero() || time.Since(row.Since) > time.Hour {
		t.Errorf("the active sees the standby %+v", row)
	}
	if a.Slot.SafeBytes == nil || *a.Slot.SafeBytes < 16<<20 {
		t.Errorf("the active sees the slot %+v", a.Slot)
	}
	for _, r := range []replication.Report{a, p.passive.monitor.Report()} {
		if r.DiskSize < r.DiskFree || r.DiskFree == 0 || r.Peer.DiskSize < r.Peer.DiskFree || r.Peer.DiskFree == 0 {
			t.Errorf("%s: disks %d of %d, and %d of %d", r.Self, r.DiskFree, r.DiskSize, r.Peer.DiskFree, r.Peer.DiskSize)
		}
		if time.Since(r.Local.Started) > time.Hour || time.Since(r.Peer.Server.Started) > time.Hour {
			t.Errorf("%s: the databases started at %v and %v", r.Self, r.Local.Started, r.Peer.Server.Started)
		}
		if r.What != "" || r.Do != "" {
			t.Errorf("%s is in order and says %q, %q", r.Self, r.What, r.Do)
		}
	}

	p.passive.stop()
	p.passive.stopServer(postgres.Immediate)
	p.active.awaitReason(replication.PassiveUnreachable)
	a = p.active.monitor.Report()
	if a.What != "the passive kt02 can not be reached" || a.Do != "Start keytrustee-db and keytrusteed on kt02, or look at the network between the hosts. If kt02 was promoted meanwhile, it is the active: ask there, and leave kt01 off." {
		t.Errorf("the active says %q, %q", a.What, a.Do)
	}
	await(t, "notices", func() error {
		said := p.active.notices()
		open := false
		for _, n := range said {
			switch {
			case n.Kind == replication.GateNotice && n.Open:
				open = true
			case open && n.Reason == replication.PassiveUnreachable && n.Peer == "kt02":
				return nil
			}
		}
		return fmt.Errorf("%+v", said)
	})
}
