package machine

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var shellEnvironment = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"}

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
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--target", strconv.Itoa(h.pid), "--mount", "--uts", "--ipc", "--net", "--pid",
		"--root", "--wd"}, argv...)...)
	cmd.Env = append(append([]string{}, shellEnvironment...), env...)
	cmd.WaitDelay = time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
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
	all, _ := filepath.Glob("/proc/[0-9]*/status")
	want := strconv.Itoa(inner)
	for _, path := range all {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		_, rest, found := strings.Cut(string(text), "\nNSpid:")
		line, _, _ := strings.Cut(rest, "\n")
		numbers := strings.Fields(line)
		if !found || len(numbers) < 2 || numbers[1] != want {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err == nil && sameNamespace(pid, h.pid, "pid") {
			return pid, true
		}
	}
	return 0, false
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
