package host

import (
	"os"
	"strings"
	"testing"
)

// TestOneHasTheState: the daemon has the state in its memory, a join exchanges that on the disk: the one keeps the other off, for as
// long as it is at it.
func TestOneHasTheState(t *testing.T) {
	h := newHost(t, "kt01", 1)
	if err := os.MkdirAll(h.NodeDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	refused := func(err error, says string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	daemon, err := h.LockDaemon()
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.lockData(t.Context())
	refused(err, "keytrusteed runs on this host")
	_, err = h.LockDaemon()
	refused(err, "another keytrusteed runs")
	daemon.Close()

	release, err := h.lockData(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.LockDaemon()
	refused(err, "its data is being exchanged")
	release()
	if daemon, err = h.LockDaemon(); err != nil {
		t.Fatalf("when the join has ended: %v", err)
	}
	daemon.Close()
}
