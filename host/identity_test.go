package host

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keytrustee/replication"
)

// ofPair makes h, which is initialized, a host of a pair, as far as its state says.
func ofPair(t *testing.T, h *Host, duty replication.Duty, peer *replication.Peer) {
	t.Helper()
	_, err := replication.CreateState(h.StateFile(), replication.State{
		Self: h.Name, Duty: duty, Epoch: replication.NewEpoch(1), SystemID: 7, Incarnation: replication.NewIncarnation(), Peer: peer,
	})
	if err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAHostInstalledAnewTakesItsDataBack: data that is bound to another machine starts nowhere, nor does data that is bound to
// none; what the hint says binds it again and changes nothing else.
func TestAHostInstalledAnewTakesItsDataBack(t *testing.T) {
	h := newHost(t, "kt01", 1)
	mustInit(t, h)
	ofPair(t, h, replication.Active, &replication.Peer{Name: "kt02"})
	before := content(t, h.Home())
	for _, path := range h.bindingFiles() {
		if err := os.WriteFile(path, []byte("of the old system\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, check := range map[string]func() error{"a service": h.CheckOwn, "init": func() error { return h.Init(t.Context(), InitOptions{}) }} {
		err := check()
		if err == nil || !strings.Contains(err.Error(), "was made on another machine") {
			t.Errorf("%s: %v", name, err)
		}
		for _, says := range []string{"rm " + strings.Join(h.bindingFiles(), " ") + ", then run ktadmin init", "Never remove " + h.NodeDir()} {
			if !strings.Contains(hintOf(err), says) {
				t.Errorf("%s: the hint %q does not say %q", name, hintOf(err), says)
			}
		}
	}
	for _, path := range h.bindingFiles() {
		remove(t, path)
		if err := h.CheckOwn(); err == nil || !strings.Contains(hintOf(err), "run ktadmin init and start") {
			t.Errorf("without %s: %v (hint %q)", path, err, hintOf(err))
		}
	}
	mustInit(t, h)
	if err := h.CheckOwn(); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(before, content(t, h.Home())); diff != "" {
		t.Errorf("files changed (-before +now):\n%s", diff)
	}
}
