package pairtest

import (
	"strings"
	"testing"
	"time"
)

// Join makes an empty host the passive of the other one, with a token of that, and starts its services.
func (n *Node) Join(t testing.TB) {
	t.Helper()
	n.enter(t, "init-slave", "--master", n.Other().Address)
}

// Rebuild brings a destroyed node back from the survivor, as an operator does: by one command with a token of the survivor, and the start of
// its services. Where the passive survived it, it is the active again, and otherwise the passive.
func (n *Node) Rebuild(t testing.TB) {
	t.Helper()
	if n.Other().Duty(t) == "passive" {
		n.enter(t, "restore", "--from-survivor", n.Other().Address)
		return
	}
	n.Join(t)
}

// Reclone makes a node whose data is of no use the passive of the other one: its services are stopped, its data is moved aside, it joins anew.
func (n *Node) Reclone(t testing.TB) {
	t.Helper()
	n.Stop(t)
	n.enter(t, "init-slave", "--reclone", "--master", n.Other().Address)
}

// enter runs a command that wants a token of the other node, and starts the services of this one.
func (n *Node) enter(t testing.TB, command ...string) {
	t.Helper()
	n.hosts(t).configure(t, n)
	token := n.Other().Token(t)
	n.mustWith(t, []string{"KEYTRUSTEE_JOIN_TOKEN=" + token}, command...)
	n.Start(t)
}

// Token is a join token of the node. It waits for one: as long as the other host answers there is none.
func (n *Node) Token(t testing.TB) string {
	t.Helper()
	var out, errs string
	defer func() {
		if t.Failed() {
			t.Logf("ktadmin join-token on %s said last: %s%s", n.Name, out, errs)
		}
	}()
	Await(t, 10*time.Second, "there is a token", func() bool {
		var status int
		out, errs, status = n.Ktadmin(t, "join-token")
		return status == 0
	})
	return strings.TrimSpace(out)
}
