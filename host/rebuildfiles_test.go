package host

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"keytrustee/certs"
	"keytrustee/kms/seal"
	"keytrustee/postgres/pgtest"
)

// TestRebuildLeavesWhatIsAnothers: a certificate and its key that an operator has put in the place of those of an attempt that failed stay,
// when it is repeated and when it is given up. What an attempt was making that was killed goes.
func TestRebuildLeavesWhatIsAnothers(t *testing.T) {
	lost, b, recovery := laidOut(t)
	h := bareHost(t, lost)
	var r *rebuild
	attempt := func() *Journal {
		t.Helper()
		journal, err := h.Journal()
		if err != nil {
			t.Fatal(err)
		}
		if journal == nil {
			journal = &Journal{Operation: rebuildOperation}
		}
		r = &rebuild{Host: h, backup: b, incarnation: "new", o: RebuildOptions{Recovery: recovery, Progress: new(stages), Configure: func(Learned) (*Host, error) {
			h.ClusterID = lost.ClusterID
			return h, h.Settings.SaveNode()
		}}}
		if err := errors.Join(r.look(t.Context()), os.MkdirAll(h.NodeDir(), 0o700), r.bootstrap(t.Context(), journal)); err != nil {
			t.Fatal(err)
		}
		if _, err := r.newRoot(); err != nil {
			t.Fatal(err)
		}
		return journal
	}
	public := h.PublicFiles()
	put := func() {
		t.Helper()
		key, keyPEM, err := certs.NewKey()
		if err != nil {
			t.Fatal(err)
		}
		authority, err := certs.NewAuthority("another", b.Started)
		if err != nil {
			t.Fatal(err)
		}
		csrPEM, err := certs.NewCSR(key, h.ExternalAddress)
		if err != nil {
			t.Fatal(err)
		}
		csr, err := certs.ParseCSR(csrPEM)
		if err != nil {
			t.Fatal(err)
		}
		certPEM, err := authority.Sign(csr, certs.Public, h.ExternalAddress, h.hosts(), b.Started)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.WriteFile(public.Key, keyPEM, 0o600), os.WriteFile(public.Cert, certPEM, 0o644), os.WriteFile(public.CA, authority.CertPEM(), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	texts := func() (all []string) {
		for _, path := range []string{public.Key, public.Cert, public.CA} {
			text, _ := os.ReadFile(path)
			all = append(all, string(text))
		}
		return all
	}

	attempt() // and is killed
	first := texts()
	attempt()
	if again := texts(); first[0] == again[0] || again[0] == "" {
		t.Error("a key of an attempt that was killed stayed")
	}
	if err := r.noteMade(); err != nil {
		t.Fatal(err)
	}
	put()
	theirs := texts()
	journal := attempt()
	if !slices.Equal(texts(), theirs) {
		t.Error("what somebody has put there was replaced")
	}
	if err := r.noteMade(); err != nil {
		t.Fatal(err)
	}
	if journal.Backup.Ended || len(journal.Backup.Made) > 0 {
		t.Errorf("an attempt begins with what an earlier one has noted: %+v", journal.Backup)
	}
	acls := filepath.Join(h.Confdir, "kms-acls.xml")
	if err := os.WriteFile(acls, []byte("<own/>"), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := h.Abort(pgtest.Context(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(texts(), theirs) || len(a.Left) != 1 || a.Left[0] != acls {
		t.Errorf("left is said to be %q", a.Left)
	}
	for path := range content(t, h.Home()) {
		if !slices.Contains([]string{public.Key, public.Cert, public.CA, acls}, path) && !strings.Contains(path, ".aside-") && filepath.Base(path) != "lock" && !strings.HasSuffix(path, ".lock") {
			t.Errorf("%s is left", path)
		}
	}
}

// TestAbortFindsTheCopy: what was unpacked goes, though the command that ends it does not name where, and a restore to another place is
// refused meanwhile.
func TestAbortFindsTheCopy(t *testing.T) {
	lost, b, recovery := laidOut(t)
	h := bareHost(t, lost)
	elsewhere := filepath.Join(pgtest.Dir(t), "elsewhere")
	if err := errors.Join(os.MkdirAll(filepath.Join(elsewhere, laid, "data"), 0o700), os.Mkdir(filepath.Join(elsewhere, ".restoring-m"), 0o700), os.MkdirAll(h.NodeDir(), 0o700), h.saveJournal(&Journal{Operation: rebuildOperation, Making: elsewhere, Mark: "m"})); err != nil {
		t.Fatal(err)
	}
	r := &rebuild{Host: h, backup: b, o: RebuildOptions{Recovery: recovery, Confirm: "kt02 is powered off"}}
	if err := r.check(pgtest.Context(t)); err == nil || !strings.Contains(hintOf(err), "--pg-rootdir "+elsewhere) {
		t.Errorf("to another place: %v (hint %q)", err, hintOf(err))
	}
	if _, err := h.Abort(pgtest.Context(t), nil); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(elsewhere); err != nil || len(entries) > 0 {
		t.Errorf("left is %v, %v", entries, err)
	}
	if j, err := h.Journal(); j != nil || err != nil {
		t.Errorf("journal %+v, %v", j, err)
	}
}

// TestRebuildLeavesKeys: a root key and key-encryption keys that somebody has put back are there still, in their place or moved aside, whether
// the attempt before was killed or came to an end, was followed by one that made nothing, and is repeated or given up.
func TestRebuildLeavesKeys(t *testing.T) {
	lost, b, recovery := laidOut(t)
	for _, before := range []string{"killed", "ended", "ended, and one that made nothing"} {
		for _, after := range []string{"repeated", "given up"} {
			t.Run(before+", "+after, func(t *testing.T) {
				h := bareHost(t, lost)
				attempt := func(journal *Journal) *rebuild {
					t.Helper()
					r := &rebuild{Host: h, backup: b, incarnation: "new", o: RebuildOptions{Recovery: recovery, Progress: new(stages), Configure: func(Learned) (*Host, error) {
						h.ClusterID = lost.ClusterID
						return h, h.Settings.SaveNode()
					}}}
					if err := errors.Join(r.look(t.Context()), os.MkdirAll(h.NodeDir(), 0o700), r.bootstrap(t.Context(), journal)); err != nil {
						t.Fatal(err)
					}
					if _, err := r.newRoot(); err != nil {
						t.Fatal(err)
					}
					return r
				}
				r := attempt(&Journal{Operation: rebuildOperation})
				if before != "killed" {
					if err := r.noteMade(); err != nil {
						t.Fatal(err)
					}
				}
				root, kek := seal.RootPath(h.Confdir), filepath.Join(h.Confdir, seal.KEKDir)
				wrap := filepath.Join("theirs", "w.wrap")
				if err := errors.Join(os.RemoveAll(kek), os.MkdirAll(filepath.Join(kek, "theirs"), 0o700), os.WriteFile(filepath.Join(kek, wrap), []byte("their wrap"), 0o600),
					os.Remove(root), os.WriteFile(root, []byte("their root key"), 0o600)); err != nil {
					t.Fatal(err)
				}
				if before == "ended, and one that made nothing" {
					if err := (&rebuild{Host: h}).noteMade(); err != nil {
						t.Fatal(err)
					}
				}
				journal, err := h.Journal()
				if err != nil {
					t.Fatal(err)
				}
				var a Aborted
				if after == "repeated" {
					attempt(journal)
					if _, err := seal.Load(h.Confdir); err != nil {
						t.Errorf("what was made opens nothing: %v", err)
					}
				} else if a, err = h.Abort(pgtest.Context(t), nil); err != nil {
					t.Fatal(err)
				}
				for path, file := range map[string]struct{ below, text string }{root: {"", "their root key"}, kek: {wrap, "their wrap"}} {
					at := path
					if before == "killed" || after == "repeated" {
						found, err := filepath.Glob(path + ".aside-*")
						if err != nil || len(found) != 1 || after == "given up" && !slices.Contains(a.Aside, found[0]) {
							t.Fatalf("moved aside was %q, and said to be %q: %v", found, a.Aside, err)
						}
						at = found[0]
					} else if !slices.Contains(a.Left, path) {
						t.Errorf("left is said to be %q", a.Left)
					}
					if text, err := os.ReadFile(filepath.Join(at, file.below)); err != nil || string(text) != file.text {
						t.Errorf("%s: %q, %v", at, text, err)
					}
				}
			})
		}
	}
}
