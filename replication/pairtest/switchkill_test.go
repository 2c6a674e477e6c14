package pairtest_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

// stepOf is the step of the operation that the node's state file shows, and the duty.
func stepOf(t *testing.T, n *pairtest.Node) (step, duty string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(n.Home, "node", "state.json"))
	if err != nil {
		t.Fatal(err)
	}
	var s struct {
		Duty      string
		Operation struct{ Step string }
	}
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return s.Operation.Step, s.Duty
}

// killedInSteps ends a daemon or a PostgreSQL with SIGKILL when the state file shows a step, and starts it again. The switchover
// goes on or is taken back, by itself; nothing that was acknowledged is missing, and writes are open again.
func killedInSteps(t *testing.T, p *pairtest.Pair) {
	l := startLoad(t, p)
	for _, c := range []struct {
		active bool // the one that hands over is hurt
		steps  []string
		what   string
	}{
		{true, []string{"stop"}, pairtest.Keytrusteed},
		{true, []string{"hand"}, pairtest.Keytrusteed},
		{true, []string{"follow"}, pairtest.Keytrusteed},
		{false, []string{"prepare"}, pairtest.Keytrusteed},
		{false, []string{"leave", "fork"}, pairtest.Keytrusteed},
		{true, []string{"close"}, pairtest.PostgreSQL},
		{true, []string{"stop"}, pairtest.PostgreSQL},
		{false, []string{"prepare"}, pairtest.PostgreSQL},
		{false, []string{"leave", "fork", "take"}, pairtest.PostgreSQL},
	} {
		for _, n := range p.Nodes {
			n.Start(t) // and its processes as they are now
		}
		p.Roles(t)
		old, next := p.Active, p.Passive
		victim := next
		if c.active {
			victim = old
		}
		ended := make(chan string, 1)
		go func() {
			out, errs, _ := old.Ktadmin(t, "cluster", "switchover", "--timeout", "30s")
			ended <- out + errs
		}()
		begun := time.Now()
		var step string
		for deadline := begun.Add(20 * time.Second); !slices.Contains(c.steps, step); step, _ = stepOf(t, victim) {
			if time.Now().After(deadline) {
				t.Fatalf("%s was never in %v; the command: %s", victim.Name, c.steps, <-ended)
			}
		}
		victim.Kill(t, c.what)
		at, duty := stepOf(t, victim)
		t.Logf("evidence: %s of %s was killed in step %q, found as the %s in %q", c.what, victim.Name, step, duty, at)
		victim.Start(t, c.what)
		pairtest.Await(t, 40*time.Second, "the end of the switchover", func() bool {
			for _, n := range p.Nodes {
				if step, _ := stepOf(t, n); step != "" {
					return false
				}
			}
			_, one := stepOf(t, old)
			_, other := stepOf(t, next)
			return one != other
		})
		p.Roles(t)
		pairtest.Await(t, 10*time.Second, "writes", func() bool { return p.Active.Create(t, pairtest.NewKey()).Status == http.StatusCreated })
		t.Logf("evidence: %s is the active, open again after %s; the command said\n%s", p.Active.Name, time.Since(begun).Round(10*time.Millisecond), <-ended)
	}
	l.stop()
	l.everyAcknowledged(t, p)
	t.Logf("evidence: %d creates acknowledged, refused %v", len(l.told), l.refused)
}
