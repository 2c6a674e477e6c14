package machine

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var shellEnvironment = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"}

// command is one that runs on the host, as root after a login.
func (h *Host) command(argv ...string) *exec.Cmd {
	cmd := exec.Command("nsenter", append([]string{"--target", strconv.Itoa(h.pid), "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd"},
		argv...)...)
	cmd.Env = slices.Clone(shellEnvironment)
	return cmd
}

// Run types a line at the host's shell, as root, shows what it printed, and ends the test if it fails.
func (h *Host) Run(t testing.TB, line string) {
	t.Helper()
	begun := time.Now()
	out, errs, status := h.Output(t, nil, "/bin/sh", "-c", line)
	t.Logf("root@%s# %s\n%s%s(%v)", h.Name, line, out, errs, time.Since(begun).Round(time.Millisecond))
	if status != 0 {
		t.Fatalf("%s: %s: exit status %d", h.Name, line, status)
	}
}

// Output runs a command on the host, as root, with these variables besides a login's, and returns what it printed and its exit status, which
// is -1 if it was ended after two minutes.
func (h *Host) Output(t testing.TB, env []string, argv ...string) (stdout, stderr string, status int) {
	t.Helper()
	cmd := h.command(argv...)
	cmd.Env = append(cmd.Env, env...)
	cmd.WaitDelay = time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(2*time.Minute, func() { cmd.Process.Kill() })
	defer late.Stop()
	cmd.Wait()
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// Serve starts the program of the test's own on the host, as root, which Program has named, and returns what asks it: a line in, a line out.
// It ends with the host.
func (h *Host) Serve(t testing.TB, program string, args ...string) (ask func(line string) (answer string, err error)) {
	t.Helper()
	path := filepath.Join("/usr/local/bin", program)
	if err := os.Symlink(self, h.File(path)); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
	cmd := h.command(append([]string{path}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := startWithProcess(cmd); err != nil {
		t.Fatal(err)
	}
	go cmd.Wait()
	answers := bufio.NewReader(out)
	return func(line string) (string, error) {
		if _, err := io.WriteString(in, line+"\n"); err != nil {
			return "", err
		}
		answer, err := answers.ReadString('\n')
		return strings.TrimSuffix(answer, "\n"), err
	}
}

// File is where this machine finds a file of the host.
func (h *Host) File(path string) string {
	return filepath.Join("/proc", strconv.Itoa(h.pid), "root", path)
}

// MainProcess is the service's main process, as this machine numbers it, if it runs.
func (h *Host) MainProcess(service string) (pid int, ok bool) {
	text, err := os.ReadFile(h.File(pidFile(service)))
	if err != nil {
		return 0, false
	}
	inner, err := strconv.Atoi(string(text))
	if err != nil {
		return 0, false
	}
	return h.Outside(inner)
}

// Outside returns what this machine calls the process of a number that the host has told, if it is there.
func (h *Host) Outside(inner int) (pid int, ok bool) {
	if known, ok := h.outside.Load(inner); ok && h.calls(known.(int), inner) {
		return known.(int), true
	}
	all, _ := filepath.Glob("/proc/[0-9]*/status")
	for _, path := range all {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err == nil && h.calls(pid, inner) {
			h.outside.Store(inner, pid)
			return pid, true
		}
	}
	return 0, false
}

// calls reports whether this machine's process is the host's process of that number.
func (h *Host) calls(pid, inner int) bool {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil || strings.Contains(string(text), "\nState:\tZ") {
		return false // it has ended
	}
	_, rest, _ := strings.Cut(string(text), "\nNSpid:")
	line, _, _ := strings.Cut(rest, "\n")
	numbers := strings.Fields(line)
	return len(numbers) > 1 && numbers[1] == strconv.Itoa(inner) && sameNamespace(pid, h.pid, "pid")
}

func sameNamespace(a, b int, kind string) bool {
	of := func(pid int) string {
		link, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "ns", kind))
		if err != nil {
			return ""
		}
		return link
	}
	return of(a) != "" && of(a) == of(b)
}

// Processes returns all processes of the host but its first, as this machine numbers them.
func (h *Host) Processes() []int {
	all, _ := filepath.Glob("/proc/[0-9]*/ns/pid")
	var found []int
	for _, path := range all {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		if err == nil && pid != h.pid && sameNamespace(pid, h.pid, "pid") && unix.Kill(pid, 0) == nil {
			found = append(found, pid)
		}
	}
	return found
}
