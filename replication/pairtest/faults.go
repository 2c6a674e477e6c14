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

// Start starts what of the node, or of the component that is named, does not run.
func (n *Node) Start(t testing.TB, component ...string) { t.Helper(); n.act(t, "start", component) }

// Stop ends the node, or the component, as its service would.
func (n *Node) Stop(t testing.TB, component ...string) { t.Helper(); n.act(t, "stop", component) }

// Kill ends every process of the node, or of the component, with SIGKILL. They are gone when it returns.
func (n *Node) Kill(t testing.TB, component ...string) { t.Helper(); n.act(t, "kill", component) }

func (n *Node) act(t testing.TB, verb string, component []string) {
	t.Helper()
	args := []string{verb, n.Name}
	for _, c := range component {
		args = append(args, "--component", c)
	}
	n.pair.dev(t, args...)
	n.pair.load(t)
}

// Freeze stops every process of the node (SIGSTOP), or of the component that is named: they keep their connections and answer nothing. It
// returns when all of them stand still. They are thawed at the end of the test at the latest.
func (n *Node) Freeze(t testing.TB, component ...string) {
	t.Helper()
	t.Cleanup(func() { n.Thaw(t, component...) })
	Await(t, 5*time.Second, n.Name+" stands still", func() bool {
		frozen := true
		for _, p := range n.processes(t, component) {
			if !p.stopped() {
				p.signal(t, unix.SIGSTOP)
				frozen = false
			}
		}
		return frozen
	})
	t.Logf("frozen: %s %v: %d processes in state T", n.Name, component, len(n.processes(t, component)))
}

// Thaw lets them go on.
func (n *Node) Thaw(t testing.TB, component ...string) {
	t.Helper()
	for _, p := range n.processes(t, component) {
		p.signal(t, unix.SIGCONT)
	}
}
