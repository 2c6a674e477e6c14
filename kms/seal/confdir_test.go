package seal

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCreateNeverReplaces(t *testing.T) {
	h := newHosts(t)
	root, err := LoadRoot(RootPath(h.active))
	must(t, err)
	before := files(t, h.active)
	if err := Create(h.active, "cluster-1", h.signer, root.Public()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create = %v, want fs.ErrExist", err)
	}
	if _, err := NewRoot(RootPath(h.active)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("NewRoot = %v, want fs.ErrExist", err)
	}
	if diff := cmp.Diff(before, files(t, h.active)); diff != "" {
		t.Error(diff)
	}
}

func TestFilesOfTheConfdir(t *testing.T) {
	h := newHosts(t)
	for path, text := range files(t, h.active) {
		info, err := os.Stat(path)
		must(t, err)
		public := filepath.Base(path) == AuthorityFile || filepath.Base(path) == RecoveryFile
		if want := fs.FileMode(0o600); !public && info.Mode().Perm() != want {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		if strings.Contains(text, h.recovery) {
			t.Errorf("%s holds the private half of the recovery key", path)
		}
	}
	wraps, err := ReadWraps(h.active)
	must(t, err)
	if len(wraps) != 2 {
		t.Errorf("%d wraps, want one for the root and one for the recovery key", len(wraps))
	}
}

// TestEveryDamageOfAFileIsSeen flips each bit of the root key's file and of its wrap. What still loads must be the same.
func TestEveryDamageOfAFileIsSeen(t *testing.T) {
	h := newHosts(t)
	root, err := LoadRoot(RootPath(h.passive))
	must(t, err)
	wrap := filepath.Join(h.passive, KEKDir, h.ring.newest.id, root.Public().Fingerprint()+wrapSuffix)
	for _, path := range []string{RootPath(h.passive), wrap} {
		good, err := os.ReadFile(path)
		must(t, err)
		step := 1
		if path == wrap {
			step = 7 // some 2,500 bytes, each byte once
		}
		for i := 0; i < 8*len(good); i += step {
			bad := bytes.Clone(good)
			bad[i/8] ^= 1 << (i % 8)
			must(t, os.WriteFile(path, bad, 0o600))
			k, err := Load(h.passive)
			if err != nil {
				continue
			}
			if k.newest.secret != h.ring.newest.secret || k.newest.id != h.ring.newest.id || k.cluster != h.ring.cluster {
				t.Errorf("%s with bit %d flipped loads as something else", filepath.Base(path), i)
			}
		}
		must(t, os.WriteFile(path, good, 0o600))
	}
}

// TestWriteWrapsStaysInTheConfdir: a wrap that travels names its own file, and a host of the cluster may have signed anything.
func TestWriteWrapsStaysInTheConfdir(t *testing.T) {
	h := newHosts(t)
	_, public, err := NewRecovery()
	must(t, err)
	for _, names := range [][2]string{{"../../escaped", public.Fingerprint()}, {"0123456789abcdef", "../../../escaped"}, {"0123456789ABCDEF", public.Fingerprint()}} {
		k := newKEK(made)
		k.id = names[0]
		w, err := wrapKEK(k, "cluster-1", public, h.signer)
		must(t, err)
		w.Recipient = names[1]
		w.Signature, err = sign(h.signer.Key, w.signed())
		must(t, err)
		if err := WriteWraps(h.passive, []Wrap{w}); err == nil {
			t.Errorf("a wrap named %q was written", names)
		}
	}
	if found, err := filepath.Glob(filepath.Join(filepath.Dir(h.passive), "escaped*")); err != nil || len(found) > 0 {
		t.Errorf("outside of the confdir there is %v, %v", found, err)
	}
}
