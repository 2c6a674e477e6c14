package pairtest_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

// token types the page's first command on the node, until it is given one: the other host counts as gone after two seconds.
func token(t *testing.T, page *pairtest.Page, pair *pairtest.Pair, n *pairtest.Node) (file string) {
	t.Helper()
	file = filepath.Join(pair.Dir, "token-"+pairtest.NewKey())
	args := page.Ktadmin(t, "ktadmin join-token --out FILE", at(file, ""))
	pairtest.Await(t, 10*time.Second, "there is a token", func() bool {
		_, _, status := n.Ktadmin(t, args...)
		return status == 0
	})
	if err := os.Chmod(file, 0o644); err != nil { // the test carries it to a user that is not root
		t.Fatal(err)
	}
	return file
}

// at is what stands for the capitals of the page.
func at(file, address string) map[string]string {
	return map[string]string{"FILE": file, "ADDRESS": address}
}

// wipe loses the node's disk. It returns where the test keeps what was on it.
func wipe(t *testing.T, n *pairtest.Node) (kept string) {
	t.Helper()
	n.Kill(t)
	kept = n.Home + ".lost-" + pairtest.NewKey()
	rename(t, n.Home, kept)
	return kept
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// aside are the directories that the node's data was moved to.
func aside(t *testing.T, n *pairtest.Node) []string {
	t.Helper()
	all, err := filepath.Glob(n.PGData + ".aside-*")
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(path string) bool { return strings.HasSuffix(path, ".json") })
}

// hostState is what the test looks at of a host's state file.
type hostState struct {
	Epoch              struct{ Number int }
	SystemID           string `json:"system_id"`
	Incarnation        string
	Peer, Former       *struct{ Key string }
	Pending, Operation *struct{}
	Fenced             *struct{ Reason string }
	Outcome            *struct{ Kind string }
}

func stateOn(t *testing.T, n *pairtest.Node) (s hostState) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(n.Home, "node", "state.json"))
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestEachDisasterHasOneCommand plays every disaster of the runbook's page on a pair, types the page's commands, and finds every key
// that was acknowledged on both hosts afterwards, and writes open.
func TestEachDisasterHasOneCommand(t *testing.T) {
	p, page := pairtest.New(t), pairtest.OpenPage(t, "restore-from-passive.md")
	a, b := p.Active, p.Passive
	keys := map[string]string{}
	more := func(n *pairtest.Node) {
		t.Helper()
		name, material := n.MustCreate(t)
		keys[name] = material
	}
	whole := func(t *testing.T, begun time.Time) {
		t.Helper()
		pairtest.Await(t, 30*time.Second, "writes are open", func() bool { return a.Writable(t) })
		t.Logf("evidence: writes are open again %v after the disaster", time.Since(begun).Round(time.Millisecond))
		more(a)
		more(b)
		everyKey(t, a, keys)
		everyKey(t, b, keys)
		a.Says(t, 0, "writes open since ", "reads served")
		b.Says(t, 0, "writes open at the active", "reads served")
	}
	for range 10 {
		more(a)
		more(b)
	}

	t.Run("the active's disk is destroyed", func(t *testing.T) {
		begun := time.Now()
		lost := wipe(t, a)
		everyKey(t, b, keys)
		before := stateOn(t, b)
		file := token(t, page, p, b)
		ktadmin(t, a, 0, page.Ktadmin(t, "ktadmin restore --from-survivor ADDRESS --token-file FILE", at(file, b.Address))...)
		everyKey(t, b, keys)
		b.Says(t, 0, "writes CLOSED since ", "restoring", "reads served")
		a.Start(t)
		whole(t, begun)
		if s := stateOn(t, b); s.Epoch.Number != before.Epoch.Number+1 || s.Former == nil || s.Former.Key != before.Peer.Key || s.Peer.Key == before.Peer.Key ||
			s.Outcome == nil || s.Outcome.Kind != "restore" || s.Operation != nil || s.Incarnation != before.Incarnation {
			t.Errorf("the survivor was of epoch %d and is %+v", before.Epoch.Number, s)
		}
		if s := stateOn(t, a); s.Outcome == nil || s.Operation != nil || s.Pending != nil {
			t.Errorf("the restored active is %+v", s)
		}

		// Its old self, with its old key, finds that it was replaced, serves nothing, and changes nothing.
		a.Stop(t)
		now := a.Home + ".now"
		rename(t, a.Home, now)
		rename(t, lost, a.Home)
		a.Start(t)
		a.Says(t, 0, "writes CLOSED since ", "epoch_conflict", "reads REFUSED at this host")
		for name := range keys {
			if r, material := a.Version(t, name, 0); material != "" {
				t.Errorf("the old active serves %s: %v", name, r)
			}
		}
		everyKey(t, b, keys)
		a.Stop(t)
		rename(t, a.Home, lost)
		rename(t, now, a.Home)
		begun = time.Now()
		a.Start(t)
		whole(t, begun)
	})

	t.Run("the active has an older copy", func(t *testing.T) {
		a.Stop(t)
		if out, err := exec.Command("cp", "-a", a.PGData, a.PGData+".old").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		begun := time.Now()
		a.Start(t)
		whole(t, begun)
		more(b)
		begun = time.Now()
		a.Stop(t)
		rename(t, a.PGData, a.PGData+".newer")
		rename(t, a.PGData+".old", a.PGData)
		a.Start(t)
		pairtest.Await(t, 20*time.Second, "the older copy is found", func() bool {
			said, _, _ := a.Ktadmin(t, "status")
			return slices.ContainsFunc([]string{"history_differs", "passive_ahead", "fenced"}, func(reason string) bool { return strings.Contains(said, reason) }) &&
				strings.Contains(said, "ktadmin restore --from-survivor")
		})
		everyKey(t, b, keys)
		if _, said := ktadmin(t, b, 3, "join-token"); !strings.Contains(said, "active answers") {
			t.Errorf("a token for an active that answers: %s", said)
		}
		a.Stop(t)
		file := token(t, page, p, b)
		ktadmin(t, a, 0, page.Ktadmin(t, "ktadmin restore --from-survivor ADDRESS --token-file FILE", at(file, b.Address))...)
		if moved := aside(t, a); len(moved) != 1 {
			t.Errorf("moved aside: %q", moved)
		}
		a.Start(t)
		whole(t, begun)
	})

	t.Run("the passive's disk is destroyed", func(t *testing.T) {
		begun := time.Now()
		wipe(t, b)
		file := token(t, page, p, a)
		ktadmin(t, b, 0, page.Ktadmin(t, "ktadmin init-slave --token-file FILE", at(file, ""))...)
		b.Start(t)
		whole(t, begun)
	})

	t.Run("the passive is cloned anew, and gives up half way first", func(t *testing.T) {
		if _, said := ktadmin(t, b, 3, page.Ktadmin(t, "ktadmin init-slave --reclone", at("", ""))...); !strings.Contains(said, "systemctl stop keytrusteed keytrustee-db") {
			t.Errorf("while it runs: %s", said)
		}
		begun := time.Now()
		b.Stop(t)
		a.Kill(t) // nobody answers: nothing begins
		ktadmin(t, b, 4, "init-slave", "--reclone")
		if moved := aside(t, b); len(moved) != 0 {
			t.Errorf("moved aside: %q", moved)
		}
		ktadmin(t, b, 3, page.Ktadmin(t, "ktadmin init-slave --abort", at("", ""))...)
		a.Start(t)
		ktadmin(t, b, 0, "init-slave", "--reclone")
		if moved := aside(t, b); len(moved) != 1 {
			t.Errorf("moved aside: %q", moved)
		}
		b.Start(t)
		whole(t, begun)
	})

	t.Run("a host that was replaced", func(t *testing.T) {
		begun := time.Now()
		b.Kill(t)
		epoch := stateOn(t, a).Epoch
		pairtest.Await(t, 10*time.Second, "the passive can be removed", func() bool {
			_, _, status := a.Ktadmin(t, "cluster", "remove", b.Name)
			return status == 0
		})
		if said, _ := ktadmin(t, a, 0, "cluster", "remove", b.Name); !strings.Contains(said, "if "+b.Name+" was promoted since "+a.Name+" last heard it") {
			t.Errorf("what would be done: %s", said)
		}
		ktadmin(t, a, 2, "cluster", "remove", b.Name, "--i-confirm", "it is gone")
		if s := stateOn(t, a); s.Peer == nil || s.Epoch != epoch {
			t.Errorf("the passive was removed without a word: %+v", s)
		}
		ktadmin(t, a, 0, "cluster", "remove", b.Name, "--i-confirm", b.Name+" was not promoted")
		b.Start(t)
		b.Says(t, 0, "writes CLOSED since ", "epoch_conflict", "ktadmin init-slave --reclone")
		b.Stop(t)
		ktadmin(t, b, 3, "init-slave", "--reclone")
		file := token(t, page, p, a)
		ktadmin(t, b, 0, page.Ktadmin(t, "ktadmin init-slave --reclone --token-file FILE", at(file, ""))...)
		b.Start(t)
		whole(t, begun)
	})

	t.Run("a restore is given up at the survivor, which was killed in its middle", func(t *testing.T) {
		a.Kill(t)
		file := token(t, page, p, b)
		ktadmin(t, a, 0, "restore", "--from-survivor", b.Address, "--token-file", file)
		b.Kill(t)
		b.Start(t)
		b.Says(t, 0, "writes CLOSED since ", "restoring", "reads served")
		everyKey(t, b, keys)
		ktadmin(t, b, 0, page.Ktadmin(t, "ktadmin restore --abort", at("", ""))...)
		b.Says(t, 0, "writes CLOSED since ", "active_unreachable", "reads served")
		a.Start(t) // what was restored waits for a survivor that has given it up, and serves nothing
		a.Says(t, 0, "writes CLOSED since ", "restoring", "reads REFUSED at this host")
		a.Stop(t)
		begun := time.Now()
		file = token(t, page, p, b)
		ktadmin(t, a, 0, "restore", "--from-survivor", b.Address, "--token-file", file)
		a.Start(t)
		whole(t, begun)
	})

	t.Run("the passive is lost before it has taken the restored active in", func(t *testing.T) {
		begun := time.Now()
		wipe(t, a)
		file := token(t, page, p, b)
		ktadmin(t, a, 0, "restore", "--from-survivor", b.Address, "--token-file", file)
		b.Kill(t)
		a.Start(t)
		args := page.Ktadmin(t, "ktadmin cluster promote --fenced NAME", at("", ""))
		args[len(args)-1] = b.Name
		pairtest.Await(t, 20*time.Second, "nothing stands against going on alone", func() bool {
			_, _, status := a.Ktadmin(t, args...)
			return status == 0
		})
		a.Says(t, 0, "writes CLOSED since ", "restoring", "ktadmin cluster promote --fenced "+b.Name, "reads REFUSED at this host")
		ktadmin(t, a, 0, append(args, "--i-confirm", b.Name+" is powered off")...)
		everyKey(t, a, keys)
		a.Says(t, 0, "writes CLOSED since ", "no_passive", "reads served")
		b.Start(t) // it was waiting for the host that it had admitted, and learns that this one has gone on
		b.Says(t, 0, "writes CLOSED since ", "epoch_conflict", "ktadmin init-slave --reclone", "reads REFUSED at this host")
		b.Stop(t)
		file = token(t, page, p, a)
		ktadmin(t, b, 0, "init-slave", "--reclone", "--token-file", file)
		b.Start(t)
		whole(t, begun)
	})

	page.AllTyped(t)
}
