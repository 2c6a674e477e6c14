package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestReadOwn: a recovery key that lies there is read if nobody else can have put it there. A pipe is not waited for.
func TestReadOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "recovery.key")
	refused := func(want string) {
		t.Helper()
		if text, err := readOwn(path); text != "" || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q, %v; want %q", text, err, want)
		}
	}
	if err := os.WriteFile(path, []byte("key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := readOwn(path); text != "key" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if text, err := readOwn(link); text != "" || err == nil || !strings.Contains(err.Error(), "is a symbolic link") {
		t.Errorf("by a link: %q, %v", text, err)
	}
	for _, mode := range []os.FileMode{0o640, 0o620, 0o604} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		refused("open to others")
	}
	if os.Geteuid() == 0 { // another one can not even give it away
		const nobody = 65534
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, nobody, nobody); err != nil {
			t.Fatal(err)
		}
		refused("belongs to another user")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	refused("no regular file")
}
