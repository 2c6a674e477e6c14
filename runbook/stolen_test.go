package runbook_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

// hostStolen: the passive is stolen, and then the active. Each time the survivor parts from it, the stolen disk, started where it reaches the
// survivor, serves nothing, and another host joins. Every key is rolled, and there is a backup with its sum.
func hostStolen(t *testing.T, n *night, page *pairtest.Page) {
	recipients(t, n)
	closed := []string{
		"nft 'add table inet keytrustee; add chain inet keytrustee input { type filter hook input priority 0; }; flush chain inet keytrustee input'",
		"nft 'add rule inet keytrustee input iif lo accept; add rule inet keytrustee input tcp dport { 11372, 11381 } ip saddr NEW accept; " +
			"add rule inet keytrustee input tcp dport { 11372, 11381 } reject'",
	}
	for _, part := range []struct{ look, confirm string }{
		{"ktadmin cluster remove NAME", ` --i-confirm "NAME was not promoted"`},
		{"ktadmin cluster promote --fenced NAME", ` --i-confirm "NAME is powered off"`},
	} {
		thief, survivor := n.Passive, n.Active
		if strings.Contains(part.look, "promote") {
			thief, survivor = survivor, thief
		}
		words := map[string]string{"NAME": thief.Name}
		shell(t, thief, "rm -rf /root/stolen && cp -a /var/lib/keytrustee /root/stolen")
		thief.Destroy(t)
		survivor.AwaitComplaint(t, "active_unreachable", "passive_unreachable", "passive_daemon_down", "passive_not_streaming")
		pairtest.Await(t, 10*time.Second, "the survivor can part from it", func() bool {
			_, _, status := survivor.Run(t, append([]string{"/usr/bin/ktadmin"}, page.Args(t, part.look, words)[1:]...)...)
			return status == 0
		})
		n.reads(t, survivor)
		page.Type(t, survivor, 0, part.look+part.confirm, words)

		// A machine with nothing but the stolen keys would be let in without a token, if it came through.
		for _, line := range closed {
			page.Type(t, survivor, 0, line, map[string]string{"NEW": "192.0.2.99"})
		}
		shell(t, thief, "cp -a /root/stolen/.keytrustee /var/lib/keytrustee/ && rm -r /var/lib/keytrustee/.keytrustee/.ssl")
		if out, errs, status := thief.Ktadmin(t, "init-slave", "--master", survivor.Address); status != 4 {
			t.Fatalf("the thief joins: %d, %s%s", status, out, errs)
		}
		thief.Destroy(t)
		for _, line := range closed {
			page.Type(t, survivor, 0, line, map[string]string{"NEW": addressOf(t, thief)})
		}

		shell(t, thief, "cp -a /root/stolen/. /var/lib/keytrustee/")
		thief.Start(t)
		thief.Says(t, 0, "writes CLOSED", "epoch_conflict", "reads REFUSED at this host")
		for name := range n.keys {
			if a, material := thief.Version(t, name, 0); material != "" {
				t.Errorf("what was stolen serves %s: %v", name, a)
			}
		}
		n.reads(t, survivor)
		thief.Destroy(t)

		joins(t, page, n, survivor)
		shell(t, survivor, "nft delete table inet keytrustee")
		if n.Active != survivor {
			t.Errorf("the active is %s", n.Active.Name)
		}
	}

	words := map[string]string{"ADDRESS": n.Passive.Address, "USER": "hdfs"}
	out, _ := page.Type(t, n.Active, 0, ca+kms+"keys/names?"+user, words)
	var names []string
	if err := json.Unmarshal([]byte(out), &names); err != nil {
		t.Fatal(err)
	}
	for name := range n.keys {
		words["KEY"] = name
		page.Type(t, n.Active, 0, ca+`-H 'Content-Type: application/json' -d '{}' -o /dev/null `+kms+"key/KEY?"+user, words)
		if a, material := n.Passive.Version(t, name, 1); a.Status != http.StatusOK || material == "" {
			t.Errorf("%s was not rolled: %v", name, a)
		}
	}
	if len(names) < len(n.keys) {
		t.Errorf("%d of %d keys are listed", len(names), len(n.keys))
	}
	page.Type(t, n.Passive, 0, "ktadmin backup create", nil)
	if out, _ := page.Type(t, n.Passive, 0, "ktadmin backup show NAME", map[string]string{"NAME": newest(t, n.Passive)}); !strings.Contains(strings.ToLower(out), "sha-256") && !strings.Contains(out, "sha256") {
		t.Errorf("it does not say the sum: %s", out)
	}
}

// addressOf is the IP address of the host.
func addressOf(t *testing.T, at *pairtest.Node) string {
	t.Helper()
	out, errs, status := at.Run(t, "getent", "hosts", at.Address)
	if status != 0 {
		t.Fatal(errs)
	}
	return strings.Fields(out)[0]
}

// shell runs a line on the host, as root.
func shell(t *testing.T, at *pairtest.Node, line string) {
	t.Helper()
	if out, errs, status := at.Run(t, "/bin/sh", "-c", line); status != 0 {
		t.Fatalf("%s on %s: %d\n%s%s", line, at.Name, status, out, errs)
	}
}
