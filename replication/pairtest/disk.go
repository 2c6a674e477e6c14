package pairtest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"keytrustee/internal/machine"
)

// FillDisk leaves no free byte on the node's disk, which is its own. FreeDisk ends it, the test's end at the latest.
func (n *Node) FillDisk(t testing.TB) {
	t.Helper()
	h := n.hosts(t)
	t.Cleanup(func() { h.of[n].FreeDisk(t) })
	h.of[n].FillDisk(t)
	t.Logf("full: the disk of %s", n.Name)
}

// FreeDisk gives the node its disk's space back.
func (n *Node) FreeDisk(t testing.TB) {
	t.Helper()
	n.hosts(t).of[n].FreeDisk(t)
	t.Logf("%d MiB are free on %s", n.DiskFree(t)>>20, n.Name)
}

// DiskFree is how many bytes are free on the node's disk.
func (n *Node) DiskFree(t testing.TB) int64 {
	t.Helper()
	return n.hosts(t).of[n].DiskFree(t)
}

// Destroy kills everything of the node and loses its disk: its database, its state, its keys and certificates are gone when it returns, and
// what an operator would have set up anew is as after the installation.
func (n *Node) Destroy(t testing.TB) {
	t.Helper()
	h := n.hosts(t)
	n.Kill(t)
	host := h.of[n]
	host.FreeDisk(t)
	for _, dir := range []string{home, "/run/keytrustee", "/etc/sysconfig"} {
		entries, err := os.ReadDir(host.File(dir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		for _, e := range entries {
			if err := os.RemoveAll(filepath.Join(host.File(dir), e.Name())); err != nil {
				t.Fatal(err)
			}
		}
	}
	h.configure(t, n)
	t.Logf("destroyed: %s", n.Name)
}

// PowerOff is what a power loss is to the others: the node says nothing any more, not even that its connections have ended, and none of its
// processes runs. What its disk has forgotten, ForgetUnsynced says.
func (n *Node) PowerOff(t testing.TB) {
	t.Helper()
	h := n.hosts(t)
	t.Cleanup(func() { h.site.PutWire(t, h.of[n]) })
	h.site.PullWire(t, h.of[n])
	n.Kill(t)
}

// PowerOn connects the node to the network again, and starts its services as a boot does.
func (n *Node) PowerOn(t testing.TB) {
	t.Helper()
	h := n.hosts(t)
	h.site.PutWire(t, h.of[n])
	n.Begin(t)
}

// ForgetUnsynced kills everything of the node and takes from its disk all that it had not been told to keep (fsync), as a power loss may.
// The pair has to be Forgetful.
func (n *Node) ForgetUnsynced(t testing.TB) {
	t.Helper()
	n.disk(t) // or the test ends, with the node as it was
	n.Kill(t)
	n.askDisk(t, "forget", "forgotten")
	t.Logf("forgotten on %s: what was not synced", n.Name)
}

// disk asks what serves the node's disk.
func (n *Node) disk(t testing.TB) (ask func(string) (string, error)) {
	t.Helper()
	ask, ok := n.hosts(t).memory[n]
	if !ok {
		t.Fatal("this pair's disks are this machine's: NewHosts with Options.Forgetful makes a pair of which each has one of its own")
	}
	return ask
}

func (n *Node) askDisk(t testing.TB, line, want string) {
	t.Helper()
	if answer, err := n.disk(t)(line); err != nil || answer != want {
		t.Fatalf("the disk of %s: %q, %v", n.Name, answer, err)
	}
}

// ForgetfulAt puts a directory of the node, which is there and empty, on a disk of its own, whose content lies in backing. forget ends whoever
// works there, and takes from that disk all that it had not been told to keep (fsync), as a power loss may.
func (n *Node) ForgetfulAt(t testing.TB, dir, backing string) (forget func(t testing.TB)) {
	t.Helper()
	ask := n.hosts(t).of[n].Serve(t, forgetful, dir, backing)
	said := func(t testing.TB, line, want string) {
		t.Helper()
		if answer, err := ask(line); err != nil || answer != want {
			t.Fatalf("the disk at %s of %s: %q, %v", dir, n.Name, answer, err)
		}
	}
	said(t, "ready?", "ready")
	return func(t testing.TB) {
		t.Helper()
		killAll(t, n.workingAt(t, dir))
		said(t, "forget", "forgotten")
	}
}

// remember puts the node's files on a file system that can forget.
func (h *hosts) remember(t testing.TB, host *machine.Host) (ask func(string) (string, error)) {
	t.Helper()
	ask = host.Serve(t, forgetful, home, forgetfulDisk+"/backing")
	if answer, err := ask("ready?"); err != nil || answer != "ready" {
		t.Fatalf("a file system that forgets, on %s: %s, %v", host.Name, answer, err)
	}
	return ask
}

// File is where the test finds a file of the node.
func (n *Node) File(path string) string {
	if h, ok := n.pair.place.(*hosts); ok {
		return h.of[n].File(path)
	}
	return path
}
