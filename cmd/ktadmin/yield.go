package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// yields reports whether this process was started to yield to others, where its session matters for that.
func yields() bool {
	attr, err := unix.SchedGetAttr(0, 0)
	_, grouped := os.Stat("/proc/self/autogroup")
	return err == nil && attr.Policy == unix.SCHED_IDLE && grouped == nil
}

// yieldItself has the session of this process yield, if it leads one and was started to yield. Nobody but root can have it do that once it is
// undumped.
func yieldItself() {
	if session, err := unix.Getsid(0); err == nil && session == os.Getpid() && yields() {
		_ = os.WriteFile("/proc/self/autogroup", []byte("19"), 0) // a backup that does not yield is a backup
	}
}

// yieldWithAll has all sessions below this process yield to others, until the returned function is called, if this process was started to
// yield. Programs inherit that, but where the kernel groups processes by their sessions (sched_autogroup) each group counts as much as
// another, whatever yields within it; and every server process of PostgreSQL begins a session.
func yieldWithAll() (stop func()) {
	if !yields() {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(100 * time.Millisecond) // the kernel takes no more from who is not root
		defer tick.Stop()
		yield := map[int]bool{os.Getpid(): true} // by yieldItself
		for {
			for _, pid := range sessionsBelow(os.Getpid()) {
				if !yield[pid] {
					yield[pid] = os.WriteFile(filepath.Join("/proc", strconv.Itoa(pid), "autogroup"), []byte("19"), 0) == nil
				}
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return func() { cancel(); <-ended }
}

// sessionsBelow are the processes that lead a session, of this one and all below it.
func sessionsBelow(root int) (leaders []int) {
	parent, leads := map[int]int{}, map[int]bool{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		end := bytes.LastIndexByte(text, ')') // of its name
		if err != nil || end < 0 {
			continue // it has ended
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		fields := strings.Fields(string(text[end+1:])) // state, parent, group, session
		if len(fields) < 4 {
			continue
		}
		parent[pid], _ = strconv.Atoi(fields[1])
		leads[pid] = fields[3] == strconv.Itoa(pid)
	}
	for pid, lead := range leads {
		for at := pid; lead && at > 1; at = parent[at] {
			if at == root {
				leaders = append(leaders, pid)
				break
			}
		}
	}
	return leaders
}
