package runbook_test

import (
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

const summary = "ktadmin cluster summary"

// switchedOver: the duties change and change back, by each host.
func switchedOver(t *testing.T, n *night, page *pairtest.Page) {
	const switchover = "ktadmin cluster switchover"
	for _, at := range n.Nodes {
		next := n.Passive
		if out, _ := page.Type(t, at, 0, switchover+" --check", nil); !strings.Contains(out, "would be done") || next.Duty(t) != "passive" {
			t.Errorf("the check left %s and said %s", next.Duty(t), out)
		}
		if _, errs := page.Type(t, at, 3, switchover+" --abort", nil); !strings.Contains(errs, "no switchover") {
			t.Errorf("nothing to give up: %s", errs)
		}
		page.Type(t, at, 0, switchover, nil)
		n.Roles(t)
		if n.Active != next {
			t.Fatalf("the active is %s", n.Active.Name)
		}
		if out, _ := page.Type(t, at, 0, "ktadmin cluster info", nil); !strings.Contains(out, next.Name) {
			t.Errorf("who is the active: %s", out)
		}
		n.whole(t)
	}
}

// coldStart: both hosts are off. The passive comes alone, then the active alone, then both; at last the passive's disk is gone, and another
// takes its place.
func coldStart(t *testing.T, n *night, page *pairtest.Page) {
	a, b := n.Active, n.Passive
	comes := func(at *pairtest.Node, want ...string) {
		t.Helper()
		page.Type(t, at, 0, "date -u", nil)
		page.Type(t, at, 0, startEither, nil)
		at.Says(t, 0, want...)
		page.Type(t, at, 0, "ktadmin status", nil)
	}
	lists := func(at *pairtest.Node) int { return at.Do(t, http.MethodGet, "/kms/v1/keys/names", nil, nil).Status }

	n.Down(t)
	comes(b, "writes CLOSED since ", "active_unreachable", "reads served")
	n.reads(t, b)
	if status := lists(b); status != http.StatusOK {
		t.Errorf("the passive alone answers a list with %d", status)
	}
	b.MustRefuse(t, "active_unreachable")

	b.Kill(t)
	comes(a, "writes CLOSED since ", "passive_unreachable", "reads known keys are served; lists and unknown names are not")
	n.reads(t, a)
	if status := lists(a); status != http.StatusServiceUnavailable {
		t.Errorf("the active alone answers a list with %d", status)
	}
	if out, errs, status := a.Ktadmin(t, "cluster", "remove", b.Name); status != 3 {
		t.Errorf("a passive that the active could not compare itself with is given up: %d, %s%s", status, out, errs)
	}
	comes(b, "writes open at the active")
	n.whole(t)
	page.Type(t, a, 0, summary, nil)
	for _, at := range n.Nodes {
		page.Type(t, at, 0, "ktadmin db check", nil)
	}

	n.Down(t)
	b.Destroy(t)
	comes(a, "writes CLOSED since ", "passive_unreachable")
	words := map[string]string{"FILE": "/root/token"}
	put(t, b, "/root/token", a.Token(t))
	if _, errs, status := b.Ktadmin(t, "init-slave", "--token-file", "/root/token"); status != 3 || !strings.Contains(errs, "--replace") {
		t.Errorf("with a token that replaces nobody: %d, %s", status, errs)
	}
	a.Run(t, "rm", "-f", "/root/token")
	page.Type(t, a, 0, "ktadmin join-token --replace --out FILE", words)
	put(t, b, "/root/token", read(t, a, "/root/token"))
	page.Type(t, b, 0, join, words)
	page.Type(t, b, 0, startEither, nil)
}

// upgraded: the programs and units are installed anew, on one host after the other.
func upgraded(t *testing.T, n *night, page *pairtest.Page) {
	build := exec.Command("make", "build")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for range n.Nodes {
		at := n.Passive
		for _, dir := range []string{"bin", "packaging"} {
			if err := os.RemoveAll(at.File("/root/" + dir)); err != nil {
				t.Fatal(err)
			}
			if err := os.CopyFS(at.File("/root/"+dir), os.DirFS("../"+dir)); err != nil {
				t.Fatal(err)
			}
		}
		for _, line := range []string{
			"systemctl stop keytrusteed keytrustee-db",
			"install -m 0755 bin/ktadmin bin/keytrusteed packaging/ktbackup.sh /usr/bin",
			"install -m 0644 packaging/systemd/*.service packaging/systemd/*.timer /etc/systemd/system",
			"systemctl daemon-reload",
		} {
			page.TypeIn(t, "/root", at, 0, line, nil)
		}
		n.reads(t, n.Active)
		page.Type(t, at, 0, startEither, nil)
		pairtest.Await(t, 30*time.Second, "writes are open", func() bool { return n.Active.Writable(t) })
		page.Type(t, at, 0, summary, nil)
		page.Type(t, at, 0, "ktadmin cluster switchover", nil)
		n.Roles(t)
		n.whole(t)
	}
}
