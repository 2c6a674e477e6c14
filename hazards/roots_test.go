package hazards_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keytrustee/kms/seal"
	"keytrustee/replication/pairtest"
)

// TestRootKeyVanishes: the file of the active's root key goes while the daemon runs, then the passive's becomes one that opens nothing. What is
// in memory is served; what a host could not open after its next start is not made: the gate shuts with the next proof of the root keys, within
// a minute, and says at which host. A daemon with such a key does not start. When both files are back, the gate opens.
func TestRootKeyVanishes(t *testing.T) {
	p := confirmed(t)
	known, material := p.Active.MustCreate(t)
	serves := func() {
		t.Helper()
		for _, n := range p.Nodes {
			if n.MustServe(t, known) != material {
				t.Errorf("%s serves another key", n.Name)
			}
		}
	}
	own, its := seal.RootPath(p.Active.Confdir), seal.RootPath(p.Passive.Confdir)
	rename(t, own, own+".away")
	gone := time.Now()
	awaitRootOf(t, p, p.Active)
	t.Logf("shut %v after the file had gone", time.Since(gone).Round(time.Second))
	p.Active.MustRefuse(t, "root_key_mismatch")
	p.Active.Says(t, 0, "writes CLOSED since ", "root_key_mismatch", p.Active.Name+": root key: open", "root.key")
	serves()

	rename(t, its, its+".away")
	foreign := filepath.Join(t.TempDir(), "root.key")
	if _, err := seal.NewRoot(foreign); err != nil {
		t.Fatal(err)
	}
	run(t, "cp", foreign, its)
	run(t, "chown", "--reference", its+".away", its)
	rename(t, own+".away", own)
	awaitRootOf(t, p, p.Passive)
	p.Active.MustRefuse(t, "root_key_mismatch")
	serves()
	p.Passive.Kill(t, pairtest.Keytrusteed)
	out, errs, status := p.Passive.Run(t, "service", "keytrusteed", "start")
	if status == 0 {
		t.Errorf("a daemon whose root key opens nothing has started: %s%s", out, errs)
	}
	p.Passive.Logged(t, "is wrapped to root key")
	p.Active.MustRefuse(t, "passive_daemon_down", "root_key_mismatch")

	if err := os.Remove(its); err != nil {
		t.Fatal(err)
	}
	rename(t, its+".away", its)
	p.Passive.Start(t, pairtest.Keytrusteed)
	pairtest.Await(t, time.Minute, "the gate is open", func() bool { return p.Active.Writable(t) })
	p.Active.MustCreate(t)
}

// awaitRootOf returns when the gate is shut for the root key of that host.
func awaitRootOf(t *testing.T, p *pairtest.Pair, n *pairtest.Node) {
	t.Helper()
	pairtest.Await(t, time.Minute, "the gate is shut for the root key of "+n.Name, func() bool {
		reason, sentence := p.Active.Complaint(t)
		return reason == "root_key_mismatch" && strings.Contains(sentence, n.Name+": ")
	})
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}
