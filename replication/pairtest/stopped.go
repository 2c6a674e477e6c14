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

// Command is one that runs on a node, and stands still at a point that the test has named.
type Command struct {
	point string
	it    process
	by    process // who started it in the node's namespaces, waits for it, and stands still when it does
	ended chan ended
	over  bool
}

type ended struct {
	stdout, stderr string
	status         int
}

// KtadminAt starts a command on the node, as root would, with these variables besides a login's, and returns when it stands still (SIGSTOP)
// at a point that internal/seam is told. It is killed at the end of the test at the latest. The programs have to be built with the tag faults.
func (n *Node) KtadminAt(t testing.TB, point string, env []string, args ...string) *Command {
	t.Helper()
	h := n.hosts(t)
	c := &Command{point: point, ended: make(chan ended, 1)}
	stopAt := "KEYTRUSTEE_STOP_AT=" + point
	go func() {
		var e ended
		e.stdout, e.stderr, e.status = h.of[n].Output(t, append(slices.Clone(env), stopAt), append([]string{"/usr/bin/ktadmin"}, args...)...)
		c.ended <- e
	}()
	Await(t, time.Minute, "ktadmin "+strings.Join(args, " ")+" stands still at "+point, func() bool {
		select {
		case e := <-c.ended:
			t.Fatalf("it ended with %d, before it came to %q: %s%s", e.status, point, e.stdout, e.stderr)
		default:
		}
		for _, pid := range h.of[n].Processes() {
			environment, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ")) // it may have ended
			if !slices.Contains(strings.Split(string(environment), "\x00"), stopAt) {
				continue
			}
			if it, ok := look(pid); ok && it.stopped() {
				c.it = it
				c.by, ok = look(it.parent)
				return ok && c.by.stopped()
			}
		}
		return false
	})
	t.Cleanup(func() {
		if !c.over {
			c.end(t, unix.SIGKILL)
		}
	})
	return c
}

func (c *Command) end(t testing.TB, signal unix.Signal) {
	t.Helper()
	c.it.signal(t, signal)
	c.by.signal(t, unix.SIGCONT) // and it lets the other one go on
}

// Kill ends the command with SIGKILL, and nothing that it has started.
func (c *Command) Kill(t testing.TB) {
	t.Helper()
	c.end(t, unix.SIGKILL)
	if _, _, status := c.Wait(t); status != -1 && status != 128+int(unix.SIGKILL) {
		t.Errorf("killed at %s, it ended with %d", c.point, status)
	}
}

// Terminate asks the command to end (SIGTERM), lets it go on, and returns when it has ended.
func (c *Command) Terminate(t testing.TB) (stdout, stderr string, status int) {
	t.Helper()
	c.end(t, unix.SIGTERM)
	return c.Wait(t)
}

// GoOn lets the command go on, and returns when it has ended.
func (c *Command) GoOn(t testing.TB) (stdout, stderr string, status int) {
	t.Helper()
	c.end(t, unix.SIGCONT)
	return c.Wait(t)
}

// Wait returns when the command has ended.
func (c *Command) Wait(t testing.TB) (stdout, stderr string, status int) {
	t.Helper()
	select {
	case e := <-c.ended:
		c.over = true
		return e.stdout, e.stderr, e.status
	case <-time.After(2 * time.Minute):
		t.Fatalf("it has not ended, after %s", c.point)
		return "", "", 0
	}
}

// WorkingAt are the command lines of the node's processes that were started with a name below dir, and of what they have started.
func (n *Node) WorkingAt(t testing.TB, dir string) (lines []string) {
	t.Helper()
	for _, p := range n.workingAt(t, dir) {
		line, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.pid), "cmdline"))
		lines = append(lines, strings.TrimSpace(strings.ReplaceAll(string(line), "\x00", " ")))
	}
	return lines
}

func (n *Node) workingAt(t testing.TB, dir string) (found []process) {
	t.Helper()
	for _, pid := range n.hosts(t).of[n].Processes() {
		line, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline")) // it may have ended
		serves := strings.HasPrefix(string(line), "/usr/local/bin/"+forgetful)       // what is at dir: it lives on
		if p, ok := look(pid); ok && !serves && strings.Contains(string(line), dir+"/") {
			found = append(found, p)
		}
	}
	return withDescendants(found, allProcesses())
}
