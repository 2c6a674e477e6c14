package machine

import (
	"cmp"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Host is a machine of its own: files, names, processes and network.
type Host struct {
	Name    string
	Address string
	pid     int    // of its first process, as this machine numbers it
	disk    string // where its disk is mounted

	outside sync.Map // what this machine calls processes that the host has told the number of, where it was found once
}

// Services are the units that are installed on a host, in the order of their start.
var Services = []string{"keytrustee-db", "keytrusteed"}

// startHost starts a host's first process and returns when its root directory is in place. It has no network yet.
func startHost(t testing.TB, plan Plan, b Birth) *Host {
	t.Helper()
	dir := t.TempDir()
	b.Mount = cmp.Or(b.Mount, home)
	o := origin{Birth: b, Root: dir, Bin: plan.Bin, Units: plan.Units, Names: "127.0.0.1 localhost\n" + plan.Names}
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	ready, born, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer ready.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{"init"}
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), originVariable + "=" + string(text)}
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	cmd.ExtraFiles = []*os.File{born}
	if b.Disk > 0 {
		image := makeDisk(t, b)
		defer image.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, image)
	}
	err = start(t, cmd, syscall.CLONE_NEWNS|syscall.CLONE_NEWUTS|syscall.CLONE_NEWIPC|syscall.CLONE_NEWPID|syscall.CLONE_NEWNET)
	born.Close()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ready.Read(make([]byte, 1)); err != nil {
		t.Fatalf("%s did not come up", b.Name)
	}
	h := &Host{Name: b.Name, Address: b.Address, pid: cmd.Process.Pid, disk: b.Mount}
	t.Cleanup(func() {
		if t.Failed() {
			h.logs(t)
		}
	})
	return h
}

// logs shows how every log ends, for a test that failed.
func (h *Host) logs(t testing.TB) {
	t.Helper()
	files := []string{"/var/lib/keytrustee/log/postgresql.log"}
	for _, name := range Services {
		files = append(files, LogFile(name))
	}
	for _, file := range files {
		text, err := os.ReadFile(h.File(file))
		if err != nil {
			continue // not begun
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		t.Logf("%s: %s ends:\n%s", h.Name, filepath.Base(file), strings.Join(lines[max(0, len(lines)-25):], "\n"))
	}
}

// startNetwork starts a process that does nothing, in a network of its own.
func startNetwork(t testing.TB) int {
	t.Helper()
	cmd := exec.Command("sleep", "infinity")
	if err := start(t, cmd, syscall.CLONE_NEWPID|syscall.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}

// start starts cmd in namespaces of its own. With it all of their processes end: at the test's end, or with this process.
func start(t testing.TB, cmd *exec.Cmd, namespaces uintptr) error {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces, Pdeathsig: syscall.SIGKILL}
	if err := startWithProcess(cmd); errors.Is(err, syscall.EPERM) {
		t.Skip("root of this machine may not make namespaces: ", err)
	} else if err != nil {
		return err
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait() // returns when every process of the namespace is gone
	})
	return nil
}

// startWithProcess starts a command that is to end with this process. The kernel ends it with the thread that started it, so it is one that
// never ends before.
func startWithProcess(cmd *exec.Cmd) error {
	parent.Do(func() { go runParent() })
	done := make(chan error)
	births <- func() { done <- cmd.Start() }
	return <-done
}
