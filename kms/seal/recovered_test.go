package seal

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keytrustee/kms"
)

// away is a confdir as a backup brings it: what of the active's is no secret.
func (h *hosts) away(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "confdir")
	must(t, os.CopyFS(dir, os.DirFS(h.active)))
	must(t, os.Remove(RootPath(dir)))
	return dir
}

// TestLoadWithRecovery: without any host's root key the recovery key opens what both hosts have sealed, under every KEK, and a
// rebuilt host gets its wraps from that. Nothing is written.
func TestLoadWithRecovery(t *testing.T) {
	h := newHosts(t)
	first, err := h.activeRing.Seal(ref(), kms.NewMaterial([]byte("first")))
	must(t, err)
	recovery, err := ReadRecovery(h.active)
	must(t, err)
	h.secondKEK(t, h.activeRing.root(t).Public(), recovery)
	second, err := h.activeRing.Seal(ref(), kms.NewMaterial([]byte("second")))
	must(t, err)
	if first.KEK == second.KEK {
		t.Fatal("there is one KEK")
	}

	dir := h.away(t)
	before := files(t, dir)
	ring, err := LoadWithRecovery(dir, " "+strings.ToUpper(h.recovery)+"\n")
	must(t, err)
	for want, v := range map[string]kms.SealedVersion{"first": first, "second": second} {
		if opened, err := ring.Open(v); err != nil || string(opened.Bytes()) != want {
			t.Errorf("%s: %v, %v", want, opened, err)
		}
	}
	if ring.Cluster() != "cluster-1" {
		t.Errorf("cluster %q", ring.Cluster())
	}
	if !maps.Equal(before, files(t, dir)) {
		t.Error("something was written")
	}
	if _, err := ring.ProveRoot(t.Context(), nil); err == nil {
		t.Error("a host without a root key proved one")
	}

	wraps, err := ring.WrapFor(newRoot(t, dir).Public(), h.signer)
	must(t, err)
	must(t, WriteWraps(dir, wraps))
	rebuilt, err := Load(dir)
	must(t, err)
	for _, v := range []kms.SealedVersion{first, second} {
		if _, err := rebuilt.Open(v); err != nil {
			t.Errorf("the rebuilt host: %v", err)
		}
	}
	if _, err := ring.ProveRoot(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

// secondKEK makes a newer KEK in the confdir of the active, and the active loads it.
func (h *hosts) secondKEK(t *testing.T, to ...Public) string {
	t.Helper()
	k := newKEK(made.Add(time.Minute))
	for _, p := range to {
		w, err := wrapKEK(k, "cluster-1", p, h.signer)
		must(t, err)
		must(t, WriteWraps(h.active, []Wrap{w}))
	}
	var err error
	h.activeRing, err = Load(h.active)
	must(t, err)
	return k.id
}

func (k *Keyring) root(t *testing.T) *Root {
	t.Helper()
	root, err := LoadRoot(RootPath(k.confdir))
	must(t, err)
	return root
}

// TestLoadWithRecoveryRefuses: a key or a confdir with which not everything opens is refused, and the error says why.
func TestLoadWithRecoveryRefuses(t *testing.T) {
	other, _, err := NewRecovery()
	must(t, err)
	for name, row := range map[string]struct {
		spoil func(t *testing.T, h *hosts, dir string)
		key   string // empty: the cluster's
		want  string
	}{
		"no recovery key":         {nil, "hello", "not a recovery key"},
		"that of another cluster": {nil, other, "not this cluster's"},
		"the cluster has none":    {func(t *testing.T, _ *hosts, dir string) { must(t, os.Remove(filepath.Join(dir, RecoveryFile))) }, "", "has no recovery key"},
		"no wraps":                {func(t *testing.T, _ *hosts, dir string) { must(t, os.RemoveAll(filepath.Join(dir, KEKDir))) }, "", "no key-encryption key"},
		"no authority":            {func(t *testing.T, _ *hosts, dir string) { must(t, os.Remove(filepath.Join(dir, AuthorityFile))) }, "", "the cluster's authority"},
		"another one's authority": {func(t *testing.T, _ *hosts, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, AuthorityFile), newAuthority(t).pem(), 0o644))
		}, "", "certificate signed by unknown authority"},
		"a wrap of the recovery key": {func(t *testing.T, h *hosts, dir string) { spoilWrap(t, h, dir) }, "", "wrap of key-encryption key"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHosts(t)
			dir, key := h.away(t), row.key
			if key == "" {
				key = h.recovery
			}
			if row.spoil != nil {
				row.spoil(t, h, dir)
			}
			_, err := LoadWithRecovery(dir, key)
			if err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), key) {
				t.Errorf("error %v, want %q", err, row.want)
			}
		})
	}

	t.Run("a KEK without a wrap", func(t *testing.T) {
		h := newHosts(t)
		id := h.secondKEK(t, h.activeRing.root(t).Public())
		_, err := LoadWithRecovery(h.away(t), h.recovery)
		without, ok := errors.AsType[*UnrecoverableError](err)
		if !ok || len(without.KEKs) != 1 || without.KEKs[0] != id || !strings.Contains(err.Error(), id) || without.Hint() == "" {
			t.Errorf("error %v, want one that names %s", err, id)
		}
		if err := h.activeRing.ConfirmRecovery(h.recovery); err == nil || !strings.Contains(err.Error(), id) {
			t.Errorf("confirmed: %v", err)
		}
	})
}

// spoilWrap alters what the wrap for the recovery key holds.
func spoilWrap(t *testing.T, h *hosts, dir string) {
	t.Helper()
	public, err := ReadRecovery(dir)
	must(t, err)
	wraps, err := ReadWraps(dir)
	must(t, err)
	for _, w := range wraps {
		if w.Recipient == public.Fingerprint() {
			w.Sealed[0] ^= 1
			must(t, writeWraps(filepath.Join(dir, KEKDir, w.KEK), []Wrap{w}))
		}
	}
}
