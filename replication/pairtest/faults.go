package pairtest

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The components of a node.
const (
	Keytrusteed = "keytrusteed"
	PostgreSQL  = "postgres"
)

// Single processes of a node's PostgreSQL, which Freeze, Thaw and Kill take as they take a component. One that was opened for a connection
// is Backend's.
const (
	Postmaster  = "postmaster"
	Walsender   = "walsender"
	Walreceiver = "walreceiver"
	Replay      = "startup" // the process that replays
)

// Start starts what of the node, or of the component that is named, does not run.
func (n *Node) Start(t testing.TB, component ...string) { t.Helper(); n.act(t, "start", component) }

// Stop ends the node, or the component, as its service would.
func (n *Node) Stop(t testing.TB, component ...string) { t.Helper(); n.act(t, "stop", component) }

// Kill ends every process of the node, or of the component, or the single process that is named, with SIGKILL. They are gone when it
// returns.
func (n *Node) Kill(t testing.TB, what ...string) {
	t.Helper()
	var components []string
	for _, w := range what {
		if w == Keytrusteed || w == PostgreSQL {
			components = append(components, w)
			continue
		}
		killed := n.processes(t, []string{w})
		if len(killed) == 0 {
			t.Fatalf("%s has no %s", n.Name, w)
		}
		for _, p := range killed {
			p.signal(t, unix.SIGKILL)
		}
		Await(t, 5*time.Second, w+" is gone", func() bool { return !anyRuns(killed) })
		t.Logf("killed: %s %s", n.Name, w)
	}
	if len(components) > 0 || len(what) == 0 {
		n.act(t, "kill", components)
	}
}

func (n *Node) act(t testing.TB, verb string, component []string) {
	t.Helper()
	n.pair.place.act(t, n, verb, component)
}

// Freeze stops every process of the node (SIGSTOP), or of the component, or the single process that is named: they keep their connections
// and answer nothing. It returns when all of them stand still. They are thawed at the end of the test at the latest.
func (n *Node) Freeze(t testing.TB, what ...string) {
	t.Helper()
	t.Cleanup(func() { n.Thaw(t, what...) })
	count := 0
	Await(t, 5*time.Second, n.Name+" stands still", func() bool {
		frozen, all := true, n.processes(t, what)
		for _, p := range all {
			if !p.stopped() {
				p.signal(t, unix.SIGSTOP)
				frozen = false
			}
		}
		count = len(all)
		return frozen
	})
	if count == 0 && len(what) > 0 {
		t.Fatalf("%s has no %v", n.Name, what)
	}
	t.Logf("frozen: %s %v: %d processes in state T", n.Name, what, count)
}

// Thaw lets them go on.
func (n *Node) Thaw(t testing.TB, what ...string) {
	t.Helper()
	for _, p := range n.processes(t, what) {
		p.signal(t, unix.SIGCONT)
	}
}

// Signal sends a signal to the process of that number, which the node has told: a PostgreSQL that lives on a host of its own has numbers
// of its own.
func (n *Node) Signal(t testing.TB, pid int, signal unix.Signal) {
	t.Helper()
	outside, ok := n.pair.place.outside(n, pid)
	if !ok {
		t.Fatalf("%s has no process %d", n.Name, pid)
	}
	if err := unix.Kill(outside, signal); err != nil {
		t.Fatalf("%v to process %d of %s: %v", signal, pid, n.Name, err)
	}
}
