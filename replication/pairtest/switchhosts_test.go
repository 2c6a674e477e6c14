package pairtest_test

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

// dutiesChange: on hosts with names, units and services of their own, as the runbook says; and the new pair needs no name service.
func dutiesChange(t *testing.T, p *pairtest.Pair) {
	name, material := p.Active.MustCreate(t)
	took := switchover(t, p, p.Passive)
	t.Logf("evidence: on two hosts: %s", took.Round(10*time.Millisecond))
	open(t, p)
	pairtest.Await(t, 3*time.Second, "writes through the passive", func() bool { return p.Passive.Create(t, pairtest.NewKey()).Status == http.StatusCreated })
	hostsKey(t, p)
	for _, n := range p.Nodes {
		if n.MustServe(t, name) != material {
			t.Errorf("%s serves other material", n.Name)
		}
	}
	p.Passive.Stop(t, pairtest.Keytrusteed)
	p.Passive.Start(t, pairtest.Keytrusteed)
	open(t, p)
	pairtest.Await(t, 3*time.Second, "the passive serves again, and so could take over", func() bool {
		_, served := p.Passive.Version(t, name, 0)
		return served == material
	})
}

// powerLostInSwitchover: the active loses its power while its PostgreSQL shuts down. What boots then starts no PostgreSQL by itself, for
// it can not know whether it is the active still; its daemon finds out.
func powerLostInSwitchover(t *testing.T, p *pairtest.Pair) {
	name, material := p.Active.MustCreate(t)
	old := p.Active
	ended := make(chan string, 1)
	go func() {
		out, errs, _ := old.Ktadmin(t, "cluster", "switchover", "--timeout", "5s")
		ended <- out + errs
	}()
	var step string
	for step != "stop" && step != "hand" {
		select {
		case said := <-ended:
			t.Fatalf("no shutdown was seen, in step %q: %s", step, said)
		default:
			step, _ = stepOf(t, old)
		}
	}
	old.PowerOff(t)
	step, duty := stepOf(t, old)
	t.Logf("evidence: the power was lost in step %q of the %s", step, duty)
	before := len(dbLog(t, old))
	old.Begin(t, pairtest.PostgreSQL)
	pairtest.Await(t, 10*time.Second, "the service waits", func() bool { return strings.Contains(dbLog(t, old)[before:], "is handing over to") })
	old.Begin(t, pairtest.PostgreSQL) // a service that runs is left alone
	if pid, runs := old.Pids[pairtest.PostgreSQL]; runs {
		t.Errorf("PostgreSQL runs after the boot, as process %d", pid)
	}
	old.PowerOn(t)
	pairtest.Await(t, 40*time.Second, "the end of the switchover", func() bool {
		for _, n := range p.Nodes {
			if step, _ := stepOf(t, n); step != "" {
				return false
			}
		}
		return true
	})
	p.Roles(t)
	open(t, p)
	t.Logf("evidence: %s is the active", p.Active.Name)
	for _, n := range p.Nodes {
		if n.MustServe(t, name) != material {
			t.Errorf("%s serves other material", n.Name)
		}
	}
}

// dbLog is what keytrustee-db has said on the node.
func dbLog(t *testing.T, n *pairtest.Node) string {
	t.Helper()
	text, err := os.ReadFile(n.File("/var/log/keytrustee-db.log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
