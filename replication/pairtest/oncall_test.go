package pairtest_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

// TestOnCall looks at a hurt pair through `ktadmin status`, on either host, as somebody does who was woken by it.
func TestOnCall(t *testing.T) {
	p := pairtest.New(t)
	p.Active.Says(t, 0, "writes open since ", "reads served")
	p.Passive.Says(t, 0, "writes open at the active (active) since ", "reads served")

	t.Log("the passive's PostgreSQL ends")
	p.Passive.Stop(t, pairtest.PostgreSQL)
	p.Active.Says(t, 0, "writes CLOSED since ", "passive_not_streaming", "Look at keytrustee-db and its log on passive.", "reads served")
	p.Passive.Says(t, 0, "writes CLOSED at the active (active) since ", "passive_not_streaming", "reads REFUSED at this host", "Start keytrustee-db on passive;")
	p.Up(t)

	t.Log("the passive's daemon is frozen")
	p.Passive.Freeze(t, pairtest.Keytrusteed)
	begun := time.Now()
	p.Passive.Says(t, 4, "writes CLOSED: keytrusteed on this host runs, but does not answer within 3s")
	if took := time.Since(begun); took > 6*time.Second {
		t.Errorf("that took %v", took)
	}
	p.Passive.Thaw(t, pairtest.Keytrusteed)
	p.Active.Says(t, 0, "writes open since ")

	t.Log("the active's state can not be written")
	node := filepath.Join(p.Active.Home, "node")
	chmod(t, node, 0o500)
	if a := p.Active.Create(t, pairtest.NewKey()); a.Status != http.StatusServiceUnavailable {
		t.Errorf("a create with no state: %v", a)
	}
	p.Active.Says(t, 0, "writes CLOSED since ", "disk_low", "node/state.json can not be written: permission denied")
	p.Passive.Says(t, 0, "writes CLOSED at the active (active) since ", "node/state.json can not be written: permission denied")
	refusedSame(t, p.Active, "disk_low")
	chmod(t, node, 0o700)
	p.Active.Says(t, 0, "writes open since ")

	t.Log("the active's audit log can not be written")
	audit := filepath.Join(p.Active.Home, "log", "kms-audit.log")
	if err := os.Rename(audit, audit+".1"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(audit, 0o700); err != nil {
		t.Fatal(err)
	}
	refusedSame(t, p.Active, "audit_unavailable")
	p.Active.Says(t, 0, "writes CLOSED since ", "audit_unavailable", "is a directory", "reads served")
	if err := os.Remove(audit); err != nil {
		t.Fatal(err)
	}
	p.Active.MustCreate(t)
	p.Active.Says(t, 0, "writes open since ")

	t.Log("the active dies")
	p.Active.Kill(t)
	p.Active.Says(t, 4, "writes CLOSED: keytrusteed does not run on this host")
	p.Passive.Says(t, 0, "writes CLOSED since ", "active_unreachable", "Start keytrustee-db and keytrusteed on active,", "reads served")
	p.Passive.Logged(t, "reason=active_unreachable")

	t.Log("the passive dies, the active comes back alone")
	p.Passive.Kill(t)
	p.Active.Start(t)
	p.Active.Says(t, 0, "writes CLOSED since ", "passive_unreachable", "reads known keys are served; lists and unknown names are not", "start keytrustee-db and keytrusteed there.")
	p.Active.Logged(t, "reason=passive_unreachable")
}

// refusedSame ends the test if a create is not refused for that reason.
func refusedSame(t *testing.T, n *pairtest.Node, reason string) {
	t.Helper()
	if a := n.Create(t, pairtest.NewKey()); a.Status != http.StatusServiceUnavailable || a.Reason != reason {
		t.Errorf("create at %s: %v; want %s", n.Name, a, reason)
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}
