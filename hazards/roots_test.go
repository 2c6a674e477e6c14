package hazards_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"keytrustee/kms/seal"
	"keytrustee/replication/pairtest"
)

// TestRootKeyVanishes: the file of a root key goes while the daemon runs. What is in memory is served; what could not be opened after a restart
// is not made: the gate shuts with the next proof of the root keys, within a minute, and opens when the file is back.
func TestRootKeyVanishes(t *testing.T) {
	p := confirmed(t)
	for _, n := range p.Nodes {
		t.Run(n.Name, func(t *testing.T) {
			known, material := create(t, p.Active)
			file := seal.RootPath(n.Confdir)
			away := file + ".away"
			rename(t, file, away)
			gone := time.Now()
			_, sentence := awaitShutWithin(t, p, time.Minute, "root_key_mismatch")
			t.Logf("shut after %v: %s", time.Since(gone).Round(time.Second), sentence)
			refused(t, p.Active, "root_key_mismatch")
			p.Active.Says(t, 0, "writes CLOSED since ", "root_key_mismatch", n.Name, "root.key")
			for _, each := range p.Nodes {
				if served(t, each, known) != material {
					t.Errorf("%s serves another key", each.Name)
				}
			}
			rename(t, away, file)
			awaitShutWithin(t, p, time.Minute, "")
			create(t, p.Active)
		})
	}
}

// TestForeignRootKey: the passive's root key is one that opens nothing, and its daemon starts with that. Whatever its PostgreSQL confirms, no
// write is acknowledged, since it could not be served by that host alone.
func TestForeignRootKey(t *testing.T) {
	p := confirmed(t)
	known, material := create(t, p.Active)
	file := seal.RootPath(p.Passive.Confdir)
	rename(t, file, file+".own")
	foreign := filepath.Join(t.TempDir(), "root.key")
	if _, err := seal.NewRoot(foreign); err != nil {
		t.Fatal(err)
	}
	run(t, "cp", "--no-preserve=all", foreign, file)
	run(t, "chown", "--reference", file+".own", file)
	run(t, "chmod", "--reference", file+".own", file)
	p.Passive.Stop(t, pairtest.Keytrusteed)
	p.Passive.Begin(t, pairtest.Keytrusteed)
	stays(t, 3*time.Second, "no write is acknowledged", func() error {
		return acknowledged(p.Active.Create(t, pairtest.NewKey()))
	})
	refused(t, p.Active, "root_key_mismatch", "passive_daemon_down")
	if served(t, p.Active, known) != material {
		t.Error("another key is served")
	}
	if a, got := p.Passive.Version(t, known, 0); got != "" && got != material || a.Status == 404 {
		t.Errorf("the passive says: %v", a)
	}
	p.Passive.Kill(t, pairtest.Keytrusteed)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	rename(t, file+".own", file)
	p.Passive.Start(t, pairtest.Keytrusteed)
	awaitShutWithin(t, p, time.Minute, "")
	create(t, p.Active)
}

// awaitShutWithin returns when the active gives that reason, or none.
func awaitShutWithin(t *testing.T, p *pairtest.Pair, d time.Duration, want string) (reason, sentence string) {
	t.Helper()
	pairtest.Await(t, d, "the gate's reason is "+want, func() bool {
		reason, sentence = complaint(t, p.Active)
		return reason == want
	})
	return reason, sentence
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}
