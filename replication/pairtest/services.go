package pairtest

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// service is the unit of a component.
func service(component string) string {
	if component == PostgreSQL {
		return "keytrustee-db"
	}
	return "keytrusteed"
}

// inOrder are the components that are named, or all, as they are started.
func inOrder(components []string) []string {
	return slices.DeleteFunc([]string{PostgreSQL, Keytrusteed}, func(c string) bool {
		return len(components) > 0 && !slices.Contains(components, c)
	})
}

func (h *hosts) act(t testing.TB, n *Node, verb string, components []string) {
	t.Helper()
	begun := time.Now()
	switch ordered := inOrder(components); verb {
	case "start":
		h.begin(t, n, ordered)
		for _, c := range ordered {
			h.awaitAnswer(t, n, c)
		}
	case "stop":
		for _, c := range slices.Backward(ordered) {
			h.service(t, n, c, verb)
		}
	case "kill":
		h.kill(t, n, ordered)
	}
	h.load(t)
	t.Logf("%s %s %v (%v)", verb, n.Name, components, time.Since(begun).Round(time.Millisecond))
}

// Begin starts the services of the node, or of the component that is named, and does not wait until they answer, which they may not.
func (n *Node) Begin(t testing.TB, component ...string) {
	t.Helper()
	h := n.hosts(t)
	h.begin(t, n, inOrder(component))
	h.load(t)
}

func (h *hosts) begin(t testing.TB, n *Node, components []string) {
	t.Helper()
	for _, c := range components {
		h.service(t, n, c, "start")
	}
}

func (h *hosts) service(t testing.TB, n *Node, component, verb string) {
	t.Helper()
	if out, errs, status := h.of[n].Output(t, nil, "service", service(component), verb); status != 0 {
		t.Fatalf("service %s %s on %s: %s%s", service(component), verb, n.Name, out, errs)
	}
}

// awaitAnswer returns when PostgreSQL takes connections. The daemon does when its service has started.
func (h *hosts) awaitAnswer(t testing.TB, n *Node, component string) {
	t.Helper()
	if component != PostgreSQL {
		return
	}
	Await(t, time.Minute, "PostgreSQL of "+n.Name+" answers", func() bool {
		state, err := os.ReadFile(filepath.Join(n.PGData, "postmaster.pid"))
		lines := strings.Split(string(state), "\n")
		_, running := h.postmaster(n)
		h.again(t, n, PostgreSQL)
		return err == nil && running && len(lines) > 7 && (strings.TrimSpace(lines[7]) == "ready" || strings.TrimSpace(lines[7]) == "standby")
	})
}

// kill ends all processes of the components at once, as far as that is possible: none of them sees another one gone.
func (h *hosts) kill(t testing.TB, n *Node, components []string) {
	t.Helper()
	var all []process
	for _, c := range components {
		all = append(all, n.family(allProcesses(), c)...)
	}
	killAll(t, all)
}

// killAll ends all of them at once, as far as that is possible, and returns when they are gone.
func killAll(t testing.TB, all []process) {
	t.Helper()
	for _, signal := range []unix.Signal{unix.SIGSTOP, unix.SIGKILL} {
		for _, p := range all {
			p.signal(t, signal)
		}
	}
	Await(t, 10*time.Second, "the processes are gone", func() bool { return !anyRuns(all) })
}

// postmaster is the first process of PostgreSQL, if it runs.
func (h *hosts) postmaster(n *Node) (int, bool) {
	text, err := os.ReadFile(filepath.Join(n.PGData, "postmaster.pid"))
	if err != nil {
		return 0, false
	}
	line, _, _ := strings.Cut(string(text), "\n")
	told, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		return 0, false
	}
	pid, ok := h.of[n].Outside(told)
	if !ok {
		return 0, false
	}
	exe, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "exe")) // fails for a zombie
	return pid, err == nil && strings.HasPrefix(filepath.Base(exe), "postgres")
}

func (h *hosts) leaders(n *Node, component string) []int {
	var found []int
	if pid, ok := h.of[n].MainProcess(service(component)); ok {
		found = append(found, pid)
	}
	if component == PostgreSQL {
		if pid, ok := h.postmaster(n); ok {
			found = append(found, pid)
		}
	}
	return found
}

func (h *hosts) load(t testing.TB) {
	t.Helper()
	for _, n := range h.pair.Nodes {
		n.Pids = map[string]int{}
		if pid, ok := h.postmaster(n); ok {
			n.Pids[PostgreSQL] = pid
		}
		if pid, ok := h.of[n].MainProcess(service(Keytrusteed)); ok {
			n.Pids[Keytrusteed] = pid
		}
	}
}

func (h *hosts) up(t testing.TB) {
	t.Helper()
	for _, n := range h.pair.Nodes {
		h.begin(t, n, inOrder(nil))
	}
	h.pair.Roles(t)
	Await(t, time.Minute, "writes are open", func() bool {
		for _, n := range h.pair.Nodes {
			for _, c := range inOrder(nil) {
				h.again(t, n, c)
			}
		}
		return h.pair.Active.Writable(t)
	})
	h.load(t)
}

// again starts a service that was ending when it was started, and therefore still ran.
func (h *hosts) again(t testing.TB, n *Node, component string) {
	t.Helper()
	if _, ok := h.of[n].MainProcess(service(component)); !ok {
		h.service(t, n, component, "start")
	}
}

func (h *hosts) down(t testing.TB) {
	t.Helper()
	for _, n := range h.pair.Nodes {
		h.kill(t, n, inOrder(nil))
	}
	h.load(t)
}

// hosts is where the node's pair is; a test that needs it has to have asked for it.
func (n *Node) hosts(t testing.TB) *hosts {
	t.Helper()
	return n.pair.hosts(t)
}

func (p *Pair) hosts(t testing.TB) *hosts {
	t.Helper()
	h, ok := p.place.(*hosts)
	if !ok {
		t.Fatal("the nodes of this pair share one machine: NewHosts makes a pair of which each has its own")
	}
	return h
}
