package pairtest

import (
	"os"
	"testing"
	"time"

	"keytrustee/internal/machine"
)

// clockFile is where a daemon with the tag faults looks how wrong its host's clock is.
const clockFile = "/run/keytrustee-clock"

// SetClock makes the clock of the node's daemon wrong by that much from now on, which 0 ends. The clocks that ages are measured with go on
// as they did, and so does PostgreSQL's. The pair has to be one with Options.Clock.
func (n *Node) SetClock(t testing.TB, wrong time.Duration) {
	t.Helper()
	h := n.hosts(t)
	if !h.options.Clock {
		t.Fatal("this pair's daemons have the machine's clock: NewHosts with Options.Clock makes one whose clocks can be set")
	}
	t.Cleanup(func() { h.setClock(t, h.of[n], 0) })
	h.setClock(t, h.of[n], wrong)
	t.Logf("the clock of %s is wrong by %v", n.Name, wrong)
}

func (h *hosts) setClock(t testing.TB, host *machine.Host, wrong time.Duration) {
	t.Helper()
	file := host.File(clockFile)
	if err := os.WriteFile(file+".new", []byte(wrong.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}
