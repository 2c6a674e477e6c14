package host

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keytrustee/certs"
	"keytrustee/postgres/pgtest"
	"keytrustee/replication"
	"keytrustee/replication/peer"
)

// TestAbortPutsBack: wherever a re-clone stops, abort leaves the host with the data and the state that it had, and the active waits
// for nobody and keeps nothing. Abort itself may stop anywhere.
func TestAbortPutsBack(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	a := startActive(t)
	h := passiveOf(t, a)
	if _, err := h.Abort(pgtest.Context(t), nil); err == nil || !strings.Contains(err.Error(), "has begun that has not ended") {
		t.Errorf("with nothing to end: %v", err)
	}
	before, own, kept := stateOf(t, h.StateFile()), identity(t, h), slots(t, a.server)
	for _, at := range []string{"before bootstrapping", "moved aside", "copying", "before completing", "before its end"} {
		for _, stop := range []string{"", "abort: told", "abort: copy removed", "abort: data put back", "abort: put back"} {
			if stop != "" && at != "before its end" && at != "copying" {
				continue
			}
			t.Run(at+"; "+stop, func(t *testing.T) {
				h.failpoint = func(point string) error {
					if point == recloneOperation+": "+at {
						return errCrash
					}
					return nil
				}
				if err := h.Join(pgtest.Context(t), recloneOptions(h, a)); !errors.Is(err, errCrash) {
					t.Fatalf("the re-clone: %v", err)
				}
				h.failpoint = func(point string) error {
					if point == stop {
						return errCrash
					}
					return nil
				}
				aborted, err := h.Abort(pgtest.Context(t), nil)
				h.failpoint = nil
				if stop != "" {
					if !errors.Is(err, errCrash) {
						t.Fatalf("abort: %v", err)
					}
					aborted, err = h.Abort(pgtest.Context(t), nil)
				}
				if err != nil || stop == "" && aborted.Untold != nil {
					t.Fatalf("abort: %+v, %v", aborted, err)
				}
				if !marked(t, h.PGRoot) || len(asides(t, h)) > 0 {
					t.Errorf("the data was not put back: %q", asides(t, h))
				}
				if diff := cmp.Diff(before, stateOf(t, h.StateFile())); diff != "" {
					t.Errorf("state (-before +now):\n%s", diff)
				}
				if diff := cmp.Diff(own, identity(t, h)); diff != "" {
					t.Errorf("certificates and configuration (-before +now):\n%s", diff)
				}
				if j, err := h.Journal(); j != nil || err != nil {
					t.Errorf("journal %+v, %v", j, err)
				}
				if s := a.monitor.State(); s.Pending != nil || slots(t, a.server) != kept {
					t.Errorf("the active waits for %+v, with %d slots", s.Pending, slots(t, a.server))
				}
				if _, _, err := h.RunDB(t.Context()); err != nil {
					t.Errorf("the old data can not be started: %v", err)
				}
			})
		}
	}
}

// identity is the text of every file that makes h the host that its peer knows.
func identity(t *testing.T, h *Host) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, path := range slices.Concat(h.replaced()...) {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		texts[path] = string(text)
	}
	return texts
}

// knows checks that h is no stranger to the other host, under the certificate that it has now: it is answered.
func knows(t *testing.T, to *activeHost, h *Host) {
	t.Helper()
	own, err := certs.NewReloader(h.ClusterFiles(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Errorf("keytrusteed of %s does not start: %v", h.Name, err)
		return
	}
	client := peer.NewClient(func(node string) *tls.Config { return own.ClusterClient(func() string { return node }) })
	defer client.Close()
	p := stateOf(t, h.StateFile()).Peer
	if _, err := client.Ask(pgtest.Context(t), *p, replication.Ask{From: h.Name}); err != nil {
		t.Errorf("%s is a stranger: %v", h.Name, err)
	}
	if s := to.monitor.State(); s.Peer == nil || !s.Peer.ShownBy(parse(t, h.ClusterFiles().Cert)) {
		t.Errorf("%s is a stranger to %s, whose peer is %+v", h.Name, to.Name, s.Peer)
	}
}

// TestAbortPutsTheKeyBack: a join that is believed by a token makes a new cluster key, under which nobody knows the host that has given
// it up: a passive that was to be cloned anew, under another name too, and an active that still has its data. Abort puts the old key
// back, also where the crash came between a key and its certificate, and where abort itself was killed.
func TestAbortPutsTheKeyBack(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	try := func(t *testing.T, h *Host, other *activeHost, options func() JoinOptions) {
		t.Helper()
		state, before := stateOf(t, h.StateFile()), identity(t, h)
		for _, at := range []string{"before bootstrapping", "key of cluster.pem", "before moving aside", "before its end"} {
			for _, stop := range []string{"", "abort: data put back", "abort: put back"} {
				if stop != "" && at != "key of cluster.pem" {
					continue
				}
				t.Run(at+"; "+stop, func(t *testing.T) {
					o := options()
					for range 2 { // the second attempt must not take what the first has installed for what the host had
						h.failpoint = func(point string) error {
							if point == operations[o.Kind]+": "+at {
								return errCrash
							}
							return nil
						}
						if err := h.Join(pgtest.Context(t), o); !errors.Is(err, errCrash) {
							t.Fatalf("it ended with %v", err)
						}
					}
					h.failpoint = func(point string) error {
						if point == stop {
							return errCrash
						}
						return nil
					}
					_, err := h.Abort(pgtest.Context(t), o.Token)
					h.failpoint = nil
					if stop != "" {
						if !errors.Is(err, errCrash) {
							t.Fatalf("abort: %v", err)
						}
						_, err = h.Abort(pgtest.Context(t), o.Token)
					}
					if err != nil {
						t.Fatalf("abort: %v", err)
					}
					if diff := cmp.Diff(before, identity(t, h)); diff != "" {
						t.Errorf("certificates and configuration (-before +now):\n%s", diff)
					}
					if diff := cmp.Diff(state, stateOf(t, h.StateFile())); diff != "" {
						t.Errorf("state (-before +now):\n%s", diff)
					}
					if !marked(t, h.PGRoot) || len(asides(t, h)) > 0 {
						t.Errorf("the data was not put back: %q", asides(t, h))
					}
					if have, err := exists(h.beforeDir()); have || err != nil {
						t.Errorf("%s is left: %v", h.beforeDir(), err)
					}
					if s := other.monitor.State(); s.Pending != nil {
						t.Errorf("the other host waits for %+v", s.Pending)
					}
					knows(t, other, h)
					if _, _, err := h.RunDB(t.Context()); err != nil {
						t.Errorf("the old data can not be started: %v", err)
					}
				})
			}
		}
	}
	a := startActive(t)
	h := passiveOf(t, a)
	t.Run("re-clone", func(t *testing.T) {
		try(t, h, a, func() JoinOptions {
			o := recloneOptions(h, a)
			o.Name = "kt05"
			var err error
			if o.Token, err = a.admitter.newToken(pgtest.Context(t), true, 0); err != nil {
				t.Fatal(err)
			}
			return o
		})
	})
	mark(t, a.Host)
	if err := os.Remove(filepath.Join(h.PGRoot, evidence)); err != nil {
		t.Fatal(err)
	}
	survivor := a.lost(t, h)
	restore := func() JoinOptions {
		pgtest.Await(t, "nothing is heard of the active", func() bool { return survivor.monitor.RestoreRefusal() == "" })
		return restoreOptions(t, a.Host, survivor)
	}
	t.Run("restore", func(t *testing.T) { try(t, a.Host, survivor, restore) })

	t.Run("without its data", func(t *testing.T) { // its disk was destroyed, the one that holds its state was not, and a certificate is to be made anew
		lost, cert := a.PGRoot+".lost", a.ClusterFiles().Cert
		if err := errors.Join(os.Rename(a.PGRoot, lost), os.Rename(cert, cert+".lost")); err != nil {
			t.Fatal(err)
		}
		before, own := stateOf(t, a.StateFile()), identity(t, a.Host)
		o := restore()
		a.Host.failpoint = func(point string) error {
			if point == restoreOperation+": before its end" {
				return errCrash
			}
			return nil
		}
		if err := a.Join(pgtest.Context(t), o); !errors.Is(err, errCrash) {
			t.Fatalf("it ended with %v", err)
		}
		a.Host.failpoint = nil
		if _, err := a.Abort(pgtest.Context(t), o.Token); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, stateOf(t, a.StateFile())); diff != "" {
			t.Errorf("state (-before +now):\n%s", diff)
		}
		if diff := cmp.Diff(own, identity(t, a.Host)); diff != "" {
			t.Errorf("certificates and configuration (-before +now):\n%s", diff)
		}
		if err := errors.Join(os.RemoveAll(a.PGRoot), os.Rename(lost, a.PGRoot), os.Rename(cert+".lost", cert)); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("ended", func(t *testing.T) { // nothing is kept of what the host was
		before := mustKey(t, a.Host)
		if err := a.Join(pgtest.Context(t), restore()); err != nil {
			t.Fatal(err)
		}
		if have, err := exists(a.beforeDir()); have || err != nil || mustKey(t, a.Host) == before {
			t.Errorf("the old key is kept: %t, %v", have, err)
		}
	})
}
