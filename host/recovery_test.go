package host

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"keytrustee/kms/seal"
	"keytrustee/postgres/pgtest"
)

// recoverable is a host of a cluster that has a recovery key, and that key.
func recoverable(t *testing.T) (h *Host, recovery string) {
	t.Helper()
	recovery, public, err := seal.NewRecovery()
	if err != nil {
		t.Fatal(err)
	}
	h = newHost(t, "kt01", 1)
	if err := h.Init(pgtest.Context(t), InitOptions{Recovery: &public}); err != nil {
		t.Fatal(err)
	}
	return h, recovery
}

// recipients are whom the wraps of h are for.
func recipients(t *testing.T, h *Host) (all []string) {
	t.Helper()
	wraps, err := seal.ReadWraps(h.Confdir)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range wraps {
		all = append(all, w.Recipient)
	}
	slices.Sort(all)
	return all
}

// TestRecoverRoot: a root key that is gone, or opens nothing, is replaced by one that opens what the lost one did. What lay in its place is
// kept, and no wrap is left that it could open; one that is there and good is not replaced.
func TestRecoverRoot(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"it is gone":    os.Remove,
		"it is damaged": func(path string) error { return os.WriteFile(path, []byte("half a "), 0o600) },
		"it is another": func(path string) error {
			_, err := seal.NewRoot(path + ".other")
			return errors.Join(err, os.Rename(path+".other", path))
		},
		"others may read it": func(path string) error { return os.Chmod(path, 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			h, recovery := recoverable(t)
			ring, err := seal.Load(h.Confdir)
			if err != nil {
				t.Fatal(err)
			}
			cookie, err := h.CookieSecret(ring)
			if err != nil {
				t.Fatal(err)
			}
			path, before := seal.RootPath(h.Confdir), recipients(t, h)
			if aside, err := h.RecoverRoot(t.Context(), recovery, time.Now()); err == nil || aside != "" || hintOf(err) == "" {
				t.Fatalf("a root key that opens everything: %q, %v", aside, err)
			}
			if err := spoil(path); err != nil {
				t.Fatal(err)
			}
			spoilt, _ := os.ReadFile(path)
			stranger, _, err := seal.NewRecovery()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := h.RecoverRoot(t.Context(), stranger, time.Now()); err == nil || !strings.Contains(err.Error(), "not this cluster's") {
				t.Errorf("with another recovery key: %v", err)
			}
			aside, err := h.RecoverRoot(t.Context(), recovery, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if kept, _ := os.ReadFile(aside); string(kept) != string(spoilt) {
				t.Errorf("what lay there is in %q as %q", aside, kept)
			}
			whole(t, h)
			if ring, err = seal.Load(h.Confdir); err != nil {
				t.Fatal(err)
			}
			if again, err := h.CookieSecret(ring); err != nil || string(again) != string(cookie) {
				t.Errorf("the new root key opens another secret: %v", err)
			}
			if after := recipients(t, h); len(after) != 2 || slices.Equal(before, after) {
				t.Errorf("wraps for %v, and before for %v", after, before)
			}
		})
	}
}

// TestRecoverRootRepeatedAfterACrash: until the new root key has its name the command completes whatever is there, and then nothing is left to
// do: no wrap is there that the lost one opens.
func TestRecoverRootRepeatedAfterACrash(t *testing.T) {
	for n := range 4 {
		h, recovery := recoverable(t)
		before := recipients(t, h)
		if err := os.Remove(seal.RootPath(h.Confdir)); err != nil {
			t.Fatal(err)
		}
		h.failpoint = crashAt(n)
		if _, err := h.RecoverRoot(t.Context(), recovery, time.Now()); !errors.Is(err, errCrash) {
			t.Fatalf("it did not crash: %v", err)
		}
		h.failpoint = nil
		if _, err := seal.Load(h.Confdir); err != nil { // otherwise the root key was there already
			if _, err := h.RecoverRoot(t.Context(), recovery, time.Now()); err != nil {
				t.Fatalf("after a crash at the %d. point: %v", n+1, err)
			}
		}
		whole(t, h)
		root, err := seal.LoadRoot(seal.RootPath(h.Confdir))
		if err != nil {
			t.Fatal(err)
		}
		if after := recipients(t, h); len(after) != 2 || slices.Equal(before, after) || !slices.Contains(after, root.Public().Fingerprint()) {
			t.Errorf("after a crash at the %d. point there are wraps for %v, and before for %v", n+1, after, before)
		}
		if left, _ := filepath.Glob(seal.RootPath(h.Confdir) + ".*"); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
}

// TestRecoverRootExpired: where the host's cluster certificate has ended, what it signs is believed by nobody: it is renewed on the way.
func TestRecoverRootExpired(t *testing.T) {
	h, recovery := recoverable(t)
	keys := keysOf(t, h)
	ends(t, h, time.Now().Add(-time.Minute), h.ClusterFiles().Cert, h.PublicFiles().Cert)
	if err := os.Remove(seal.RootPath(h.Confdir)); err != nil {
		t.Fatal(err)
	}
	if _, err := h.RecoverRoot(t.Context(), recovery, time.Now()); err != nil {
		t.Fatal(err)
	}
	good(t, h, keys)
}
