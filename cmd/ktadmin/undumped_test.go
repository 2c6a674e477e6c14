package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"keytrustee/postgres/pgtest"
)

// TestUndumped: while ktadmin reads a secret, another process of its user reads neither its memory nor what else of it is its own alone.
func TestUndumped(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	secret := filepath.Join(t.TempDir(), "recovery.key")
	if err := syscall.Mkfifo(secret, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("ktadmin", "root-key", "confirm-recovery", "--key-file", secret, "--confdir", t.TempDir())
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w, err := os.OpenFile(secret, os.O_WRONLY, 0) // when ktadmin opens it, too
	if err != nil {
		t.Fatal(err)
	}
	of := func(pid int, name string) string { return fmt.Sprintf("/proc/%d/%s", pid, name) }
	for _, name := range []string{"mem", "environ"} {
		if f, err := os.Open(of(cmd.Process.Pid, name)); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s is open to others: %v", name, err)
			f.Close()
		}
	}
	if _, err := os.ReadDir(of(cmd.Process.Pid, "fd")); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("its files are open to others: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() <= 0 || !strings.Contains(said.String(), "\nhint: ") {
		t.Errorf("it ends with %v: %s", err, said.String())
	}

	child := exec.Command("cat") // of this process, which is an ordinary one: what is asked above is open otherwise
	if _, err := child.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { child.Process.Kill(); child.Wait() }()
	if _, err := os.ReadFile(of(child.Process.Pid, "environ")); err != nil {
		t.Errorf("the environment of any process is closed here: %v", err)
	}
}
