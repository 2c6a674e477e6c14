package pairtest_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	"filippo.io/age"

	"keytrustee/replication/pairtest"
)

// slow are the reasons for which a busy machine alone shuts the gate for a moment, whoever makes a backup.
var slow = []string{"passive_unreachable", "passive_daemon_down", "passive_stale", "passive_not_streaming", "busy", "outcome_unknown"}

// TestBackupOfEachHost: a backup of the passive and one of the active are made while the pair takes writes, each with every key
// that was acknowledged before, and nothing of a backup is a reason to shut the gate.
func TestBackupOfEachHost(t *testing.T) {
	p := pairtest.New(t)
	recipients := ""
	for range 2 {
		identity, err := age.GenerateHybridIdentity()
		if err != nil {
			t.Fatal(err)
		}
		recipients += identity.Recipient().String() + ","
	}
	t.Setenv("KEYTRUSTEE_BACKUP_RECIPIENTS", recipients)
	made, unsure := 0, 0
	for _, n := range []*pairtest.Node{p.Passive, p.Active} {
		p.Active.MustCreate(t)
		made++
		writing, ended := make(chan struct{}), make(chan int)
		go func() {
			wrote := 0
			defer func() { ended <- wrote }()
			for {
				select {
				case <-writing:
					return
				default:
				}
				switch a := p.Active.Create(t, pairtest.NewKey()); {
				case a.Status == http.StatusCreated:
					wrote++
				case slices.Contains(slow, a.Reason):
					unsure++
					t.Logf("while %s is backed up: %v", n.Name, a)
				default:
					t.Errorf("while %s is backed up: %v", n.Name, a)
					return
				}
			}
		}()
		stdout, stderr, status := n.Ktadmin(t, "backup", "create", "-o", "json")
		close(writing)
		wrote := <-ended
		if status != 0 {
			t.Fatalf("%s: %d, %s", n.Name, status, stderr)
		}
		var receipt struct {
			Rows     struct{ Keys, Versions int }
			Manifest struct{ Host, Duty string }
		}
		if err := json.Unmarshal([]byte(stdout), &receipt); err != nil {
			t.Fatal(err)
		}
		if keys := receipt.Rows.Keys; keys < made || keys > made+wrote+unsure || receipt.Rows.Versions != keys || receipt.Manifest.Duty != n.Name {
			t.Errorf("%s: %d keys before and %d meanwhile, the receipt is %s", n.Name, made, wrote, stdout)
		}
		if wrote == 0 {
			t.Errorf("nothing was written while %s was backed up", n.Name)
		}
		made += wrote
		pairtest.Await(t, 30*time.Second, "writes are open after the backup of "+n.Name, func() bool { return p.Active.Writable(t) })
	}
}
