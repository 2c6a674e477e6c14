package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keytrustee/postgres/pgtest"
)

// TestDevAsRootTrustsNothingOfTheUsers: what the pair's user plants in his directories, in dev.json's place or in /tmp makes
// root write, give away or remove nothing elsewhere.
func TestDevAsRootTrustsNothingOfTheUsers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("this user is not root")
	}
	user, dir := pgtest.User(t), pgtest.Dir(t)
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	theirs := func(path string) {
		t.Helper()
		must(os.Lchown(path, user.UID, user.GID))
	}

	must(ownDir(dir))
	p := newDevPair(dir, user, pgtest.FreePort(t), pgtest.FreePort(t), pgtest.FreePort(t))
	must(p.makeSockets())
	t.Cleanup(func() { os.RemoveAll(p.Sockets) })
	n := p.active()
	must(n.makeDirectories())
	for path, want := range map[string]int{dir: 0, p.Sockets: 0, n.home(): user.UID, n.sockets(): user.UID} {
		if info, err := os.Lstat(path); err != nil || owner(info) != want || info.Mode().Perm()&0o022 != 0 {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}

	log := n.log(devKeytrusteed)
	must(os.Mkdir(filepath.Dir(log), 0o755))
	must(os.Symlink(outside, log))
	theirs(filepath.Dir(log))
	ended, err := n.launch(devKeytrusteed)
	must(err)
	<-ended
	if info, err := os.Stat(outside); err != nil || info.Size() != 0 || owner(info) != 0 {
		t.Errorf("through the log: %v, %v", info, err)
	}
	if text := n.tail(devKeytrusteed); !strings.Contains(text, "escapes") {
		t.Errorf("root reads through the log: %q", text)
	}

	must(os.RemoveAll(p.Sockets)) // as where /tmp was emptied
	must(os.Symlink(filepath.Dir(outside), p.Sockets))
	theirs(p.Sockets)
	if err := p.makeSockets(); err == nil {
		t.Errorf("root takes %s, a link of another user", p.Sockets)
	}
	if info, err := os.Stat(filepath.Dir(outside)); err != nil || owner(info) != 0 {
		t.Errorf("through the sockets: %v, %v", info, err)
	}

	must(p.save())
	theirs(dir)
	if err := withDevPair(dir, func(*devPair) error { return nil }); err == nil {
		t.Error("root believes a dev.json that another user can exchange")
	}
}
