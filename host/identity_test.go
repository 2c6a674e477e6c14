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

// TestInitKeepsTheKeyOfAHostOfAPair: the other host knows this one by its key. Init makes a certificate for the one that is there,
// and no new one, unless nobody knows the old one.
func TestInitKeepsTheKeyOfAHostOfAPair(t *testing.T) {
	peer := &replication.Peer{Name: "kt02"}
	for name, row := range map[string]struct {
		duty    replication.Duty
		peer    *replication.Peer
		keyGone bool
		says    string // of the refusal
	}{
		"the certificate is gone, at the active":          {replication.Active, peer, false, ""},
		"the certificate is gone, at the passive":         {replication.Passive, peer, false, ""},
		"the certificate is gone, at an active alone":     {replication.Active, nil, false, ""},
		"the key is gone too, at the active":              {replication.Active, peer, true, "ktadmin restore --from-survivor"},
		"the key is gone too, at the passive":             {replication.Passive, peer, true, "ktadmin init-slave --reclone"},
		"the key is gone too, which nobody else has seen": {replication.Active, nil, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, "kt01", 1)
			mustInit(t, h)
			ofPair(t, h, row.duty, row.peer)
			key := mustKey(t, h)
			remove(t, h.ClusterFiles().Cert)
			if row.keyGone {
				remove(t, h.ClusterFiles().Key)
			}
			err := h.Init(t.Context(), InitOptions{})
			if row.says != "" {
				if err == nil || !strings.Contains(hintOf(err), row.says) {
					t.Errorf("%v (hint %q)", err, hintOf(err))
				}
				if have, _ := exists(h.ClusterFiles().Key); have {
					t.Error("there is a new key")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			whole(t, h)
			if kept := mustKey(t, h) == key; kept == row.keyGone {
				t.Errorf("the key was kept: %v", kept)
			}
		})
	}
	h := newHost(t, "kt01", 1)
	mustInit(t, h)
	ofPair(t, h, replication.Active, peer)
	remove(t, h.ClusterFiles().Cert)
	other := *h
	other.Name = "kt09"
	if err := other.Init(t.Context(), InitOptions{}); err == nil || !strings.Contains(hintOf(err), "--name") {
		t.Errorf("under another name: %v (hint %q)", err, hintOf(err))
	}
}
