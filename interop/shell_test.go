package interop_test

import (
	"strings"
	"testing"
	"time"

	"keytrustee/interop"
	"keytrustee/replication/pairtest"
)

// TestShellReadsTheReason: with either host dead, every `hadoop key create`, each a JVM of its own that tries the hosts in an order of its
// own, prints our sentence and never that it failed to connect.
func TestShellReadsTheReason(t *testing.T) {
	pair := pairtest.New(t)
	client := newClient(t, pair)
	for _, dead := range pair.Nodes {
		dead.Kill(t)
		survivor := pair.Active
		if dead == pair.Active {
			survivor = pair.Passive
		}
		// The sentence is due 2 s after the last sign of life; before that a client may be sent to the other host.
		time.Sleep(3 * time.Second)
		sentence := survivor.Create(t, pairtest.NewKey()).Message
		if sentence == "" || !strings.Contains(sentence, dead.Name) {
			t.Fatalf("the refusal %q does not name the %s", sentence, dead.Name)
		}
		for range 20 {
			readsReason(t, client, dead)
		}
		if t.Failed() {
			t.FailNow()
		}
		pair.Up(t)
	}
}

func readsReason(t *testing.T, client *interop.Client, dead *pairtest.Node) {
	t.Helper()
	printed, status, err := client.Shell(t.Context(), "create", pairtest.NewKey(), "-size", "256")
	switch {
	case err != nil:
		t.Fatal(err)
	case status == 0:
		t.Errorf("a key was created with the %s dead", dead.Name)
	case strings.Contains(printed, "Failed to connect"), !strings.Contains(printed, "IllegalStateException"), !strings.Contains(printed, dead.Name):
		t.Errorf("with the %s dead:\n%s", dead.Name, printed)
	}
}
