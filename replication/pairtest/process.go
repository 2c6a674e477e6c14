package pairtest

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
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

// Backend names the process of PostgreSQL that the node itself has told the number of, for Freeze, Thaw and Kill.
func Backend(pid int) string { return "backend " + strconv.Itoa(pid) }

// processes returns those of what is named: components, with all of their descendants, and single processes. Nothing named means both
// components.
func (n *Node) processes(t testing.TB, what []string) []process {
	t.Helper()
	if len(what) == 0 {
		what = []string{PostgreSQL, Keytrusteed}
	}
	all := allProcesses()
	var found []process
	for _, w := range what {
		if w == PostgreSQL || w == Keytrusteed {
			found = append(found, n.family(all, w)...)
		} else {
			found = append(found, n.single(t, all, w)...)
		}
	}
	return found
}

func (n *Node) family(all []process, component string) []process {
	leaders := n.pair.place.leaders(n, component)
	var found []process
	for _, p := range all {
		if slices.Contains(leaders, p.pid) {
			found = append(found, p)
		}
	}
	return withDescendants(found, all)
}

// withDescendants adds what those processes have started, and so on.
func withDescendants(found, all []process) []process {
	for i := 0; i < len(found); i++ {
		for _, p := range all {
			if p.parent == found[i].pid && !slices.ContainsFunc(found, func(f process) bool { return f.pid == p.pid }) {
				found = append(found, p)
			}
		}
	}
	return found
}

// single returns the process of the node's PostgreSQL that is named, if it has one now.
func (n *Node) single(t testing.TB, all []process, name string) []process {
	t.Helper()
	is := func(process) bool { return false }
	if number, ok := strings.CutPrefix(name, "backend "); ok {
		told, err := strconv.Atoi(number)
		if err != nil {
			t.Fatal(err)
		}
		if pid, ok := n.pair.place.outside(n, told); ok {
			is = func(p process) bool { return p.pid == pid }
		}
	} else if name == Postmaster {
		is = func(p process) bool { return p.pid == n.Pids[PostgreSQL] }
	} else {
		title := regexp.MustCompile(`^postgres: (\S+: )?` + regexp.QuoteMeta(name) + `\b`)
		is = func(p process) bool {
			line, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.pid), "cmdline")) // it may have ended
			return title.Match(line)
		}
	}
	return slices.DeleteFunc(n.family(all, PostgreSQL), func(p process) bool { return !is(p) })
}

func allProcesses() []process {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	var all []process
	for _, path := range stats {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if p, ok := look(pid); err == nil && ok {
			all = append(all, p)
		}
	}
	return all
}

// look is how the process is now. It is not ok if that has ended.
func look(pid int) (p process, ok bool) {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return p, false
	}
	// pid (name) state ppid …; the name may hold anything
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	parent, err := strconv.Atoi(fields[1])
	return process{pid, parent, fields[0]}, err == nil
}

// anyRuns reports whether one of the processes is there, and no zombie.
func anyRuns(these []process) bool {
	now := allProcesses()
	return slices.ContainsFunc(these, func(p process) bool {
		return slices.ContainsFunc(now, func(q process) bool { return p.pid == q.pid && q.state != "Z" })
	})
}

func (p process) stopped() bool { return p.state == "T" || p.state == "Z" }

func (p process) signal(t testing.TB, signal unix.Signal) {
	t.Helper()
	if err := unix.Kill(p.pid, signal); err != nil && !errors.Is(err, unix.ESRCH) {
		t.Errorf("sending %v to process %d: %v", signal, p.pid, err)
	}
}
