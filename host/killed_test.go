package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"keytrustee/internal/durable"
	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// TestBootstrapProcess is no test but the process that TestKilledWhileInitdbRuns kills.
func TestBootstrapProcess(t *testing.T) {
	text := os.Getenv("KEYTRUSTEE_TEST_BOOTSTRAP")
	if text == "" {
		return
	}
	var h Host
	if err := json.Unmarshal([]byte(text), &h); err != nil {
		t.Fatal(err)
	}
	t.Fatal(h.Bootstrap(t.Context()))
}

// TestKilledWhileInitdbRuns: initdb goes on when its parent has been killed. The next attempt changes nothing before that has ended.
func TestKilledWhileInitdbRuns(t *testing.T) {
	newer := pgtest.Newer(t)
	if pgtest.AsUser(t) {
		return
	}
	inst := postgres.Installation{BinDir: filepath.Join(newer, "bin")}
	binDir, _ := pgtest.Watch(t, inst)
	first, goOn := filepath.Join(binDir, "first"), filepath.Join(binDir, "go-on")
	if err := syscall.Mkfifo(goOn, 0o600); err != nil {
		t.Fatal(err)
	}
	told, err := os.OpenFile(goOn, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer told.Close()
	pgtest.Script(t, filepath.Join(binDir, "initdb"),
		fmt.Sprintf(`[ -e %[1]s ] || { echo $$ >%[1]s.next; mv %[1]s.next %[1]s; read -r line <%[2]s; }`, first, goOn),
		fmt.Sprintf(`exec %s "$@"`, inst.Path("initdb")))
	t.Setenv("PATH", binDir+":"+os.Getenv("PATH"))

	h := newHost(t, "kt01", 1)
	mustInit(t, h)
	plain := *h
	plain.Settings = nil
	text, err := json.Marshal(plain)
	if err != nil {
		t.Fatal(err)
	}
	killed := exec.Command(os.Args[0], "-test.run=^TestBootstrapProcess$")
	killed.Env = append(os.Environ(), "KEYTRUSTEE_TEST_BOOTSTRAP="+string(text))
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	pgtest.Await(t, "initdb runs", func() bool { _, err := os.Stat(first); return err == nil })
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed.Wait() // as it was killed
	number, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	initdb, err := strconv.Atoi(strings.TrimSpace(string(number)))
	if err != nil || gone(initdb) {
		t.Fatalf("initdb is process %q, %v, and has ended with its parent", number, err)
	}

	soon, cancel := context.WithTimeout(t.Context(), 3*patiencePoll)
	defer cancel()
	if lock, err := h.lock(soon); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while it goes on: %v", err)
		lock.Close()
	}
	h.failpoint = func(point string) error {
		if !gone(initdb) {
			t.Errorf("it goes on when the next attempt is at %q", point)
		}
		return nil
	}
	if _, err := told.WriteString("\n"); err != nil {
		t.Fatal(err)
	}
	if err := h.Bootstrap(pgtest.Context(t)); err != nil {
		t.Fatal(err)
	}
	bootstrapped(t, h)
}

// TestKilledWhileACopyStarts: the server of the copy goes on when its parent has been killed. It is ended before the copy is removed, also where it
// does not say yet that it is the server.
func TestKilledWhileACopyStarts(t *testing.T) {
	h := newHost(t, "kt01", 1)
	inst, err := postgres.Find(t.Context())
	if err == nil {
		err = durable.MkdirAll(h.PGRoot, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(h.PGRoot, "PG_VERSION"), []byte(strconv.Itoa(inst.Version.Major)+"\n"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	pid, ended := pgtest.Beginning(t, h.PGRoot)
	soon, cancel := context.WithTimeout(t.Context(), 10*patiencePoll)
	defer cancel()
	if err := h.stopCopy(soon, &Journal{Operation: joinOperation, Making: h.PGRoot}); err == nil {
		t.Error("the copy may be removed")
	}
	if err := os.WriteFile(filepath.Join(h.PGRoot, "postmaster.pid"), []byte(strconv.Itoa(pid)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := h.stopCopy(pgtest.Context(t), &Journal{Operation: joinOperation, Making: h.PGRoot}); err != nil {
		t.Fatal(err)
	}
	<-ended
}

// TestOneChangesAHost: while one does, another one is refused at once.
func TestOneChangesAHost(t *testing.T) {
	h := newHost(t, "kt01", 1)
	if err := os.MkdirAll(h.NodeDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	lock, err := h.lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	soon, cancel := context.WithTimeout(t.Context(), orphans/2)
	defer cancel()
	if _, err := h.lock(soon); err == nil || !strings.Contains(err.Error(), "another ktadmin is changing this host") {
		t.Errorf("beside another one: %v", err)
	}
	lock.Close()
	if lock, err = h.lock(t.Context()); err != nil {
		t.Fatalf("when it has ended: %v", err)
	}
	lock.Close()
}

// held checks that what was begun with these words had the lock of the operation of the host, each time, and that all of it was begun.
func held(t *testing.T, begun func(string) []string, h *Host, want ...string) {
	t.Helper()
	all := begun(filepath.Join(h.NodeDir(), "lock"))
	for _, words := range want {
		of := slices.DeleteFunc(slices.Clone(all), func(line string) bool { return !strings.HasPrefix(line, words) })
		if len(of) == 0 || slices.ContainsFunc(of, func(line string) bool { return !strings.Contains(line, " with it ") }) {
			t.Errorf("of %s was begun %q", words, of)
		}
	}
}
