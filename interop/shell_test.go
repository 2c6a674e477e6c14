package interop_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"keytrustee/interop"
	"keytrustee/replication/pairtest"
)

// TestShellReadsTheReason: with either host dead, and with writes on hold beside a dead passive, every `hadoop key create`, each a JVM of its own that tries the hosts in an order of its
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
		// Until the survivor is sure, a second or two, a client may be sent to the other host, or its write may wait for its deadline, 5 s.
		var sentence string
		pairtest.Await(t, 10*time.Second, "the refusal says that the "+dead.Name+" is gone", func() bool {
			a := survivor.Create(t, pairtest.NewKey())
			sentence = a.Message
			return a.Reason == dead.Name+"_unreachable" && a.Class == "java.lang.IllegalStateException"
		})
		if err := shellsRead(t.Context(), client, sentence, 20); err != nil {
			t.Fatalf("with the %s dead: %v", dead.Name, err)
		}
		pair.Up(t)
	}

	if out, text, status := pair.Active.Ktadmin(t, "cluster", "hold", "--reason", "moving the rack", "--for", "1h"); status != 0 {
		t.Fatalf("ktadmin cluster hold: status %d\n%s%s", status, out, text)
	}
	pair.Passive.Kill(t)
	var sentence string
	pairtest.Await(t, 10*time.Second, "the refusal tells of the hold, and sends nobody to a host that is off", func() bool {
		a := pair.Active.Create(t, pairtest.NewKey())
		sentence = a.Message
		return a.Reason == "operator_hold" && a.Class == "java.lang.IllegalStateException" && strings.Contains(sentence, "moving the rack")
	})
	if err := shellsRead(t.Context(), client, sentence, 8); err != nil {
		t.Errorf("with writes on hold and the passive off: %v", err)
	}
}

// shellsRead runs n shells, which must all print the sentence.
func shellsRead(ctx context.Context, client *interop.Client, sentence string, n int) error {
	var shells errgroup.Group
	shells.SetLimit(3)
	for range n {
		shells.Go(func() error { return readsReason(ctx, client, sentence) })
	}
	return shells.Wait()
}

func readsReason(ctx context.Context, client *interop.Client, sentence string) error {
	printed, status, err := client.Shell(ctx, "create", pairtest.NewKey(), "-size", "256")
	switch {
	case err != nil:
		return err
	case status == 0:
		return errors.New("a key was created")
	case strings.Contains(printed, "Failed to connect"), !strings.Contains(printed, sentence):
		return fmt.Errorf("instead of %q:\n%s", sentence, printed)
	}
	return nil
}
