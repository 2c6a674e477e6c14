package pairtest

import (
	"os"
	"strings"
	"testing"
	"time"
)

// Says waits until `ktadmin status` on this host ends with that exit status, prints first what is wanted first, and all else
// that is wanted after it.
func (n *Node) Says(t testing.TB, status int, want ...string) {
	t.Helper()
	var said string
	defer func() {
		if t.Failed() {
			t.Logf("ktadmin status on the %s said last:\n%s", n.Name, said)
		}
	}()
	Await(t, 10*time.Second, n.Name+" says "+strings.Join(want, " … "), func() bool {
		out, _, got := n.Ktadmin(t, "status")
		said = strings.Join(strings.Fields(out), " ")
		rest, ok := strings.CutPrefix(said, want[0])
		for _, w := range want[1:] {
			var found bool
			_, rest, found = strings.Cut(rest, w)
			ok = ok && found
		}
		return ok && got == status
	})
}

// Logged waits until this host's daemon has logged that.
func (n *Node) Logged(t testing.TB, want string) {
	t.Helper()
	Await(t, 10*time.Second, n.Name+" logs "+want, func() bool {
		text, err := os.ReadFile(n.pair.place.logFile(n, Keytrusteed))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(text), want)
	})
}
