package runbook_test

import (
	"strings"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

const (
	token = "ktadmin join-token --out FILE"
	join  = "ktadmin init-slave --token-file FILE"
)

// carries types the command for a token on one host until there is one, for a host that is gone counts as such after two seconds, and carries
// the token to the other.
func carries(t *testing.T, page *pairtest.Page, from *pairtest.Node) map[string]string {
	t.Helper()
	words := map[string]string{"FILE": "/root/token"}
	pairtest.Await(t, 10*time.Second, "there is a token", func() bool {
		from.Run(t, "rm", "-f", "/root/token")
		_, _, status := from.Run(t, append([]string{"/usr/bin/ktadmin"}, page.Args(t, token, words)[1:]...)...)
		return status == 0
	})
	put(t, from.Other(), "/root/token", read(t, from, "/root/token"))
	return words
}

// joins brings the other host in as the passive.
func joins(t *testing.T, page *pairtest.Page, n *night, from *pairtest.Node) {
	t.Helper()
	words := carries(t, page, from)
	page.Type(t, from.Other(), 0, join, words)
	page.Type(t, from.Other(), 0, startEither, nil)
	n.whole(t)
}

// passiveLost: its disk is destroyed, and it joins again; then it is lost for good, and given up, and later another one joins.
func passiveLost(t *testing.T, n *night, page *pairtest.Page) {
	a, b := n.Active, n.Passive
	b.Destroy(t)
	a.AwaitComplaint(t, "passive_unreachable", "passive_daemon_down", "passive_not_streaming")
	n.reads(t, a)
	words := carries(t, page, a)
	page.Type(t, b, 0, join, words)
	page.Type(t, b, 0, startEither, nil)
	n.whole(t)

	b.Destroy(t)
	a.AwaitComplaint(t, "passive_unreachable", "passive_daemon_down", "passive_not_streaming")
	words = map[string]string{"NAME": b.Name}
	const remove = "ktadmin cluster remove NAME"
	pairtest.Await(t, 10*time.Second, "it can be given up", func() bool {
		out, errs, _ := a.Run(t, append([]string{"/usr/bin/ktadmin"}, page.Args(t, remove, words)[1:]...)...)
		return strings.Contains(out+errs, `--i-confirm "`+b.Name+` was not promoted"`)
	})
	n.reads(t, a)
	page.Type(t, a, 0, remove+` --i-confirm "NAME was not promoted"`, words)
	a.Says(t, 0, "writes CLOSED since ", "no_passive", "ktadmin join-token")
	a.MustRefuse(t, "no_passive")
	n.reads(t, a)
	joins(t, page, n, a)
}

// activeLost: its disk is destroyed, and it is restored from the passive; then it is lost for good, and the passive is promoted.
func activeLost(t *testing.T, n *night, page *pairtest.Page) {
	a, b := n.Active, n.Passive
	a.Destroy(t)
	b.AwaitComplaint(t, "active_unreachable")
	b.Says(t, 0, "writes CLOSED since ", "active_unreachable", "reads served")
	n.reads(t, b)
	words := carries(t, page, b)
	words["ADDRESS"] = b.Address
	page.Type(t, a, 0, "ktadmin restore --from-survivor ADDRESS --token-file FILE", words)
	page.Type(t, a, 0, startEither, nil)
	n.whole(t)
	if n.Active != a {
		t.Errorf("the active is %s", n.Active.Name)
	}

	a.Destroy(t)
	b.AwaitComplaint(t, "active_unreachable")
	words = map[string]string{"NAME": a.Name}
	const promote = "ktadmin cluster promote --fenced NAME"
	if out, errs := page.Type(t, b, 0, promote, words); !strings.Contains(out+errs, `--i-confirm "`+a.Name+` is powered off"`) || b.Duty(t) != "passive" {
		t.Errorf("the dry run left %s and said %s%s", b.Duty(t), out, errs)
	}
	page.Type(t, b, 0, promote+` --i-confirm "NAME is powered off"`, words)
	b.Says(t, 0, "writes CLOSED since ", "no_passive")
	n.reads(t, b)
	joins(t, page, n, b)
	if n.Active != b {
		t.Errorf("the active is %s", n.Active.Name)
	}
}
