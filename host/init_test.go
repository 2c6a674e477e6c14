package host

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keytrustee/certs"
	"keytrustee/kms/seal"
)

// whole checks that h is an initialized host and nothing of the making is left.
func whole(t *testing.T, h *Host) {
	t.Helper()
	if done, err := h.Initialized(); !done || err != nil {
		t.Fatalf("initialized: %v, %v", done, err)
	}
	ring, err := seal.Load(h.Confdir)
	if err != nil {
		t.Fatal(err)
	}
	if ring.Cluster() != h.ClusterID {
		t.Errorf("cluster %s, want %s", ring.Cluster(), h.ClusterID)
	}
	if _, err := h.authority(ring); err != nil {
		t.Error(err)
	}
	if secret, err := h.CookieSecret(ring); err != nil || len(secret) != 32 {
		t.Errorf("cookie secret of %d bytes, %v", len(secret), err)
	}
	for _, f := range []certs.Files{h.PublicFiles(), h.ClusterFiles()} {
		if _, err := certs.NewReloader(f, nil); err != nil {
			t.Error(err)
		}
	}
	for _, left := range []string{h.Confdir + ".making", h.made(), h.journalFile()} {
		if have, err := exists(left); have || err != nil {
			t.Errorf("%s is left: %v", left, err)
		}
	}
	for _, secret := range []string{seal.RootPath(h.Confdir), h.PublicFiles().Key, h.ClusterFiles().Key, sealedFile(h.Confdir, authorityBox)} {
		if info, err := os.Stat(secret); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", secret, info.Mode(), err)
		}
	}
}

func TestInitCompletesAndNeverReplaces(t *testing.T) {
	h := newHost(t, "kt01", 1)
	mustInit(t, h)
	whole(t, h)
	before := content(t, h.Home())
	h.ClusterID = NewClusterID() // what a second founding would have
	mustInit(t, h)
	if diff := cmp.Diff(before, content(t, h.Home())); diff != "" {
		t.Errorf("a second init changed files (-before +after):\n%s", diff)
	}
	for path, text := range before {
		if ring, err := seal.Load(h.Confdir); err == nil {
			if key, err := h.secret(ring, authorityBox); err == nil && strings.Contains(text, string(key)) {
				t.Errorf("%s holds the authority's key in the clear", path)
			}
		}
	}
}

func TestInitRepeatedAfterACrash(t *testing.T) {
	first := newHost(t, "kt01", 1)
	all := points(t, first, func() error { return first.Init(t.Context(), InitOptions{}) })
	if len(all) < 12 {
		t.Fatalf("only %d points: %v", len(all), all)
	}
	for n, point := range all {
		t.Run(point, func(t *testing.T) {
			h := newHost(t, "kt01", 1)
			h.failpoint = crashAt(n)
			if err := h.Init(t.Context(), InitOptions{}); !errors.Is(err, errCrash) {
				t.Fatalf("first init: %v", err)
			}
			h.failpoint = nil
			// The next ktadmin finds out, as ktadmin does, which cluster it is.
			done, err := h.Initialized()
			if err != nil {
				t.Fatal(err)
			}
			founding, err := h.Founding()
			if err != nil {
				t.Fatal(err)
			}
			if !done && founding == "" {
				h.ClusterID = NewClusterID()
			} else if founding != "" && founding != h.ClusterID {
				t.Fatalf("founding %s, want %s", founding, h.ClusterID)
			}
			mustInit(t, h)
			whole(t, h)
		})
	}
}

func TestInitOnACopiedConfdir(t *testing.T) {
	one, two := newHost(t, "kt01", 1), newHost(t, "kt02", 2)
	mustInit(t, one)
	two.ClusterID = one.ClusterID
	if err := os.MkdirAll(two.Home(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(two.Confdir, os.DirFS(one.Confdir)); err != nil {
		t.Fatal(err)
	}
	chmodSecrets(t, two)
	// With .ssl, which was not to be copied, it is refused.
	if err := two.Init(t.Context(), InitOptions{}); err == nil || !strings.Contains(err.Error(), "was made on another machine") || !strings.Contains(hintOf(err), "--exclude .ssl") {
		t.Fatalf("with a copied .ssl: %v (%s)", err, hintOf(err))
	}
	if err := os.RemoveAll(filepath.Join(two.Confdir, ".ssl")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(two.journalFile()); err != nil {
		t.Fatal(err)
	}
	shared := content(t, two.Confdir)
	mustInit(t, two)
	whole(t, two)
	for path, text := range shared {
		if now, _ := os.ReadFile(path); string(now) != text {
			t.Errorf("%s was changed", path)
		}
	}
	cert := parse(t, two.PublicFiles().Cert)
	if err := cert.VerifyHostname(two.ExternalAddress); err != nil {
		t.Error(err)
	}
}

func TestInitRefusesHalfACluster(t *testing.T) {
	h := newHost(t, "kt01", 1)
	mustInit(t, h)
	if err := os.Remove(sealedFile(h.Confdir, authorityBox)); err != nil {
		t.Fatal(err)
	}
	before := content(t, h.Confdir)
	err := h.Init(t.Context(), InitOptions{})
	if err == nil || !strings.Contains(err.Error(), "sealed/authority.box") {
		t.Fatalf("error %v", err)
	}
	if diff := cmp.Diff(before, content(t, h.Confdir)); diff != "" {
		t.Errorf("files changed:\n%s", diff)
	}
}

func TestRecoveryKeyCanBePostponed(t *testing.T) {
	h := newHost(t, "kt01", 1)
	mustInit(t, h)
	if s, err := h.Status(); err != nil || s.Recovery.Made {
		t.Fatalf("status %+v, %v", s.Recovery, err)
	}
	private, public, err := seal.NewRecovery()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := h.Init(t.Context(), InitOptions{Recovery: &public}); err != nil {
			t.Fatal(err)
		}
	}
	_, other, err := seal.NewRecovery()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Init(t.Context(), InitOptions{Recovery: &other}); err == nil || !strings.Contains(err.Error(), public.Fingerprint()) {
		t.Errorf("another recovery key: %v", err)
	}
	wrong, _, _ := seal.NewRecovery()
	if err := h.ConfirmRecovery(wrong, time.Now()); err == nil {
		t.Error("a foreign recovery key was believed")
	}
	if err := h.ConfirmRecovery(private, time.Now()); err != nil {
		t.Fatal(err)
	}
	if s, err := h.Status(); err != nil || s.Recovery.Confirmed == nil || s.Recovery.Fingerprint != public.Fingerprint() {
		t.Errorf("status %+v, %v", s.Recovery, err)
	}
	for path, text := range content(t, h.Home()) {
		if strings.Contains(text, private[20:]) {
			t.Errorf("%s holds the recovery key", path)
		}
	}
}

func TestOneOperationAtATime(t *testing.T) {
	h := newHost(t, "kt01", 1)
	var second error
	h.failpoint = func(point string) error {
		if point == "init: before certificates" {
			other := *h
			other.failpoint = nil
			second = other.Init(t.Context(), InitOptions{})
		}
		return nil
	}
	mustInit(t, h)
	if second == nil || !strings.Contains(second.Error(), "another ktadmin") {
		t.Errorf("the second one: %v", second)
	}
}

func TestNodeName(t *testing.T) {
	for address, want := range map[string]string{
		"keytrustee01.example.com": "keytrustee01", "KT_01": "kt-01", "10.0.0.7": "kt-10-0-0-7", "fd00::2": "kt-fd00--2", "a": "a",
	} {
		if got := NodeName(address); got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
}
