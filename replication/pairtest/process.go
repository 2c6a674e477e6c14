package pairtest

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

type process struct {
	pid, parent int
	state       string
}

// processes returns those of the components that run, of both if none is named, and all of their descendants.
func (n *Node) processes(t testing.TB, components []string) []process {
	t.Helper()
	var roots []int
	for component, pid := range n.Pids {
		if len(components) == 0 || slices.Contains(components, component) {
			roots = append(roots, pid)
		}
	}
	all := allProcesses()
	var found []process
	for _, p := range all {
		if slices.Contains(roots, p.pid) {
			found = append(found, p)
		}
	}
	for i := 0; i < len(found); i++ {
		for _, p := range all {
			if p.parent == found[i].pid {
				found = append(found, p)
			}
		}
	}
	return found
}

func allProcesses() []process {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	var all []process
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// pid (name) state ppid …; the name may hold anything
		fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		parent, perr := strconv.Atoi(fields[1])
		if err == nil && perr == nil {
			all = append(all, process{pid, parent, fields[0]})
		}
	}
	return all
}

func (p process) stopped() bool { return p.state == "T" || p.state == "Z" }

func (p process) signal(t testing.TB, signal unix.Signal) {
	t.Helper()
	if err := unix.Kill(p.pid, signal); err != nil && !errors.Is(err, unix.ESRCH) {
		t.Errorf("sending %v to process %d: %v", signal, p.pid, err)
	}
}
