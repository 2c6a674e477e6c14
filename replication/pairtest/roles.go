package pairtest

import (
	"encoding/json"
	"testing"
)

// Duty is what the node's files say that it is: "active", "passive", or nothing while it is of no pair.
func (n *Node) Duty(t testing.TB) string {
	t.Helper()
	duty, _ := n.duty(t)
	return duty
}

func (n *Node) duty(t testing.TB) (duty string, epoch uint64) {
	t.Helper()
	out, errs, _ := n.Ktadmin(t, "status", "-o", "json") // with its daemon down it ends with an error, and its files still tell
	var s struct {
		State struct {
			Duty  string
			Epoch struct{ Number uint64 }
		}
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil && out != "" {
		t.Fatalf("ktadmin status on %s: %v\n%s%s", n.Name, err, out, errs)
	}
	return s.State.Duty, s.State.Epoch.Number
}

// Roles makes Active and Passive the nodes that are it now. A switchover, a promotion, and a host that was lost change that. Where both say
// that they are the active, the later epoch counts; where nobody does, they stay what they were.
func (p *Pair) Roles(t testing.TB) {
	t.Helper()
	var active *Node
	var latest uint64
	for _, n := range p.Nodes {
		if duty, epoch := n.duty(t); duty == "active" && (active == nil || epoch > latest) {
			active, latest = n, epoch
		}
	}
	if active != nil {
		p.Active, p.Passive = active, active.Other()
	}
}
