// Package spare has a process, with all that it starts, take of the processors only what nobody else wants. All of it is a kindness: where the
// kernel refuses something, the rest holds.
package spare

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	niceness = 19
	leastIO  = 2<<13 | 7 // best effort, the lowest of it
)

// Do runs f on a thread that takes what others leave, as do the processes that f starts, and returns when both have ended: it can not be raised
// again. (sched(7), ioprio_set(2))
func Do(f func() error) error {
	ended := make(chan error)
	go func() { ended <- do(f) }()
	return <-ended
}

func do(f func() error) error {
	runtime.LockOSThread() // it ends with this goroutine
	if unix.Gettid() == unix.Getpid() {
		// But for the first thread, which never ends, and whose priority is what is shown for this process: wait on it, so that another one
		// does this.
		defer runtime.UnlockOSThread()
		return Do(f)
	}
	_ = lower(0)
	return f()
}

// Other has another process of the same user take what others leave, and the session that it leads. Of sessions the kernel takes ten in a
// second from who is not root: EAGAIN.
func Other(pid int) error {
	if err := lower(pid); err != nil || !sessionsCount() {
		return err
	}
	return lighten(pid)
}

// lower has a thread, or this one where it is 0, take what others leave.
func lower(thread int) error {
	const process = 1
	unix.Setpriority(unix.PRIO_PROCESS, thread, niceness)
	unix.Syscall(unix.SYS_IOPRIO_SET, process, uintptr(thread), leastIO)
	if !sessionsCount() {
		// The class idle gets one in 340 here beside a process that is busy, which is too little to ever end.
		return unix.SchedSetAttr(thread, &unix.SchedAttr{Policy: unix.SCHED_BATCH, Nice: niceness}, 0)
	}
	// Who wakes up finds the processor free, or takes it at once, and all the others are left alone.
	if err := unix.SchedSetAttr(thread, &unix.SchedAttr{Policy: unix.SCHED_IDLE}, 0); err != nil {
		return err
	}
	var may unix.CPUSet
	if err := unix.SchedGetaffinity(thread, &may); err != nil {
		return err
	}
	last := lastOf(may)
	return unix.SchedSetaffinity(thread, &last)
}

func lastOf(set unix.CPUSet) (last unix.CPUSet) {
	for cpu, left := 0, set.Count(); left > 0; cpu++ {
		if set.IsSet(cpu) {
			last.Zero()
			last.Set(cpu)
			left--
		}
	}
	return last
}

// Used reports whether a process, or this thread where it is 0, takes what others leave: by Do, by Other, or by systemd in the same way.
func Used(pid int) bool {
	attr, err := unix.SchedGetAttr(pid, 0)
	return err == nil && (attr.Policy == unix.SCHED_IDLE || attr.Policy == unix.SCHED_BATCH && attr.Nice == niceness)
}

// sessionsCount reports whether the kernel gives processor time to sessions, each as much as another, and to processes within them.
func sessionsCount() bool {
	text, err := os.ReadFile("/proc/sys/kernel/sched_autogroup_enabled")
	return err == nil && bytes.Equal(bytes.TrimSpace(text), []byte("1"))
}

// lighten gives the session that a process leads the least weight.
func lighten(pid int) error {
	return os.WriteFile(filepath.Join("/proc", strconv.Itoa(pid), "autogroup"), []byte(strconv.Itoa(niceness)), 0)
}
