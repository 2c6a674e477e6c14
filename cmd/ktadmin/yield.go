package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"

	"keytrustee/postgres"
)

// least is the niceness of what yields most.
const least = 19

// yields reports whether this process was started to yield to others.
func yields() bool {
	attr, err := unix.SchedGetAttr(0, 0)
	return err == nil && attr.Policy == unix.SCHED_BATCH && attr.Nice == least
}

// grouped reports whether the kernel groups processes by their sessions (sched_autogroup): each group counts as much as another, whatever
// yields within it.
func grouped() bool {
	_, err := os.Stat("/proc/self/autogroup")
	return err == nil
}

// yieldSession gives the session that a process leads the least weight.
func yieldSession(pid int) error {
	return os.WriteFile(filepath.Join("/proc", strconv.Itoa(pid), "autogroup"), []byte(strconv.Itoa(least)), 0)
}

// yieldItself has the session of this process yield, if it leads one and was started to yield. Nobody but root can have it do that once it is
// undumped.
func yieldItself() {
	if session, err := unix.Getsid(0); err == nil && session == os.Getpid() && yields() && grouped() {
		_ = yieldSession(session) // a backup that does not yield is a backup
	}
}

// yieldWithAll has all that is done for a backup of server yield to others, until the returned function is called, if this process was started
// to yield: the sessions below it, for programs inherit how they yield, and every server process of PostgreSQL begins a session; and what
// sends the base backup. What sends the dump holds locks that requests wait for, and is left alone.
func yieldWithAll(server *postgres.Server) (stop func()) {
	if !yields() {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		conn, err := pgx.Connect(ctx, server.ConnString("postgres"))
		if err == nil { // without it there is nothing to copy
			defer conn.Close(context.WithoutCancel(ctx))
		}
		y := yielding{conn: conn, done: map[int]bool{os.Getpid(): true}} // itself by yieldItself
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			y.look(ctx)
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	}()
	return func() { cancel(); <-ended }
}

// yielding is who yields already.
type yielding struct {
	conn    *pgx.Conn // of the server that is copied; nil: there is none
	asked   time.Time // when it was asked for them last
	senders []int
	done    map[int]bool
}

// look has those yield that do not yet. A backup that does not yield is a backup.
func (y *yielding) look(ctx context.Context) {
	y.lookForSenders(ctx)
	if !grouped() {
		return
	}
	pending := slices.DeleteFunc(append(sessionsBelow(os.Getpid()), y.senders...), func(pid int) bool { return y.done[pid] })
	// The kernel takes ten in a second from who is not root: those come first that work.
	slices.SortFunc(pending, func(a, b int) int { return cmp.Compare(worked(b), worked(a)) })
	for _, pid := range pending {
		if errors.Is(yieldSession(pid), unix.EAGAIN) {
			return
		}
		y.done[pid] = true
	}
}

func (y *yielding) lookForSenders(ctx context.Context) {
	if y.conn == nil || y.conn.IsClosed() || time.Since(y.asked) < 100*time.Millisecond {
		return
	}
	y.asked = time.Now()
	pids, err := postgres.BackupSenders(ctx, y.conn)
	if err != nil {
		return
	}
	for _, pid := range pids {
		if !slices.Contains(y.senders, pid) {
			y.senders = append(y.senders, pid)
			_ = unix.Setpriority(unix.PRIO_PROCESS, pid, least)
		}
	}
}

// sessionsBelow are the processes that lead a session, of those below a process.
func sessionsBelow(root int) (leaders []int) {
	children, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(root), "task", "*", "children")) // of each thread
	for _, path := range children {
		text, _ := os.ReadFile(path) // it may have ended
		for _, field := range strings.Fields(string(text)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				continue
			}
			if session, err := unix.Getsid(pid); err == nil && session == pid {
				leaders = append(leaders, pid)
			}
			leaders = append(leaders, sessionsBelow(pid)...)
		}
	}
	return leaders
}

// worked is how long a process has worked, in ticks of the kernel's.
func worked(pid int) (ticks int) {
	text, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // after its name: state, parent, group, session
	for _, i := range []int{11, 12} {                                         // as itself, and in the kernel
		if i < len(fields) {
			n, _ := strconv.Atoi(fields[i])
			ticks += n
		}
	}
	return ticks
}
