package runbook_test

import (
	"strings"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

// diskFull: the disk of either host is full from one moment to the next. Keys are read from both, and writes are open when somebody has made
// room by the page's commands.
func diskFull(t *testing.T, n *night, page *pairtest.Page) {
	const look = "df -h /var/lib/keytrustee /var/lib/keytrustee/db /var/lib/keytrustee/log"
	for _, at := range []*pairtest.Node{n.Passive, n.Active} {
		data := "/var/lib/keytrustee/db.aside-20261129T030000Z"
		if out, errs, status := at.Run(t, "/bin/sh", "-c", "mkdir "+data+" && fallocate -l 700M "+data+"/1"); status != 0 {
			t.Fatal(out, errs)
		}
		at.FillDisk(t)
		n.Active.AwaitComplaint(t, "disk_low", "starting", "passive_stale", "passive_not_streaming", "passive_unreachable", "passive_daemon_down")
		says(t, n.Active, "status", "disk_low", at.Name, "see docs/runbook/disk-full.md")
		says(t, at.Other(), "cluster summary", "disk_low", at.Name+": its disk has 0 bytes left")
		n.Active.MustRefuse(t, "disk_low", "audit_unavailable")
		for _, from := range n.Nodes {
			n.reads(t, from)
		}
		if out, errs, status := at.Ktadmin(t, "backup", "create"); status == 0 || !strings.Contains(errs, "there is no room for a backup") && !strings.Contains(errs, "docs/runbook/disk-full.md") {
			t.Errorf("a backup on a full disk ended with %d: %s%s", status, out, errs)
		}
		if out, _ := page.Type(t, at, 0, "ktadmin status", nil); !strings.Contains(out, "disk_low") {
			t.Errorf("%s: %s", at.Name, out)
		}
		if out, _ := page.Type(t, at, 0, look, nil); !strings.Contains(out, "100%") {
			t.Errorf("%s: %s", at.Name, out)
		}
		page.Type(t, at, 0, "du -xsh /var/lib/keytrustee/* /var/lib/keytrustee/db/pg_wal", nil)
		if out, _ := page.Type(t, at, 0, "ls -ld /var/lib/keytrustee/db.aside-*", nil); !strings.Contains(out, data) {
			t.Errorf("%s: %s", at.Name, out)
		}
		page.Type(t, at, 0, "rm -r DATA", map[string]string{"DATA": data})
		page.Type(t, at, 0, startEither, nil)
		pairtest.Await(t, 30*time.Second, "writes are open", func() bool { return n.Active.Writable(t) })
		page.Type(t, at, 0, "ktadmin cluster summary", nil)
		at.FreeDisk(t)
		n.whole(t)
	}
}
