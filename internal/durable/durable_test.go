package durable

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, want := range []string{"one", "", "three"} {
		if err := WriteFile(path, []byte(want), 0o640); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Fatalf("content %q, %v; want %q", got, err, want)
		}
		if info, _ := os.Stat(path); info.Mode().Perm() != 0o640 {
			t.Fatalf("mode %v", info.Mode())
		}
	}
	only(t, filepath.Dir(path), "f")
}

func TestWriteFileFailsWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.MkdirAll(filepath.Join(path, "x"), 0o700); err != nil { // a directory in the file's place
		t.Fatal(err)
	}
	if err := WriteFile(path, []byte("y"), 0o600); err == nil {
		t.Fatal("replaced a directory")
	}
	only(t, dir, "f")
	if err := WriteFile(filepath.Join(dir, "absent", "f"), nil, 0o600); err == nil || !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("error %v", err)
	}
}

func TestCreateFileNeverReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := CreateFile(path, []byte("first"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := CreateFile(path, []byte("second"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("error %v", err)
	}
	if got, _ := os.ReadFile(path); string(got) != "first" {
		t.Fatalf("content %q", got)
	}
	only(t, filepath.Dir(path), "f")
}

func TestMkdirAllRenameRemove(t *testing.T) {
	dir := t.TempDir()
	deep := filepath.Join(dir, "a", "b", "c")
	for range 2 {
		if err := MkdirAll(deep, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := Rename(deep, filepath.Join(dir, "c")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := Remove(filepath.Join(dir, "c")); err != nil {
			t.Fatal(err)
		}
	}
	only(t, dir, "a")
}

// TestOrderOfCalls reads the system calls of WriteFile from strace: the data is synced before the rename, the directory
// after it.
func TestOrderOfCalls(t *testing.T) {
	if path := os.Getenv("DURABLE_WRITE"); path != "" {
		if err := WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("no strace on this machine")
	}
	path := filepath.Join(t.TempDir(), "f")
	trace := filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command(strace, "-f", "-y", "-o", trace, "-e", "trace=fsync,rename,renameat,renameat2", os.Args[0], "-test.run=^TestOrderOfCalls$")
	cmd.Env = append(os.Environ(), "DURABLE_WRITE="+path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	var calls []string
	for line := range strings.Lines(string(text)) {
		switch {
		case strings.Contains(line, "fsync(") && strings.Contains(line, ".tmp>"):
			calls = append(calls, "sync file")
		case strings.Contains(line, "rename") && strings.Contains(line, ".tmp"):
			calls = append(calls, "rename")
		case strings.Contains(line, "fsync(") && strings.Contains(line, filepath.Dir(path)+">"):
			calls = append(calls, "sync directory")
		}
	}
	if got := strings.Join(calls, ", "); got != "sync file, rename, sync directory" {
		t.Fatalf("calls: %s\n%s", got, text)
	}
}

func only(t *testing.T, dir, name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != name {
		t.Fatalf("%s holds %v, want only %s", dir, entries, name)
	}
}
