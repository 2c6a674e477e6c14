package host

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// lock gives the right to change this host, until the file is closed. The programs that fill a data directory for an operation inherit it: an
// initdb whose parent was killed goes on, and would write in what the next operation removes.
func (h *Host) lock(ctx context.Context) (*os.File, error) {
	const name = "lock"
	return h.inheritable(ctx, name, func(_ int, alive bool) error {
		if alive {
			return hinted("wait until it has ended", "another ktadmin is changing this host")
		}
		return hinted("wait until they have ended, or end them: fuser -v "+filepath.Join(h.NodeDir(), name)+" shows them",
			"another ktadmin, which was changing this host, is gone, and programs that it had begun go on")
	})
}

// lockDB gives the right to run this host's PostgreSQL, and to exchange its data. The server inherits it.
func (h *Host) lockDB(ctx context.Context) (*os.File, error) {
	return h.inheritable(ctx, "db.lock", func(owner int, _ bool) error {
		return hinted("stop it first: service keytrustee-db stop", "process %d runs PostgreSQL on this host already", owner)
	})
}

// orphans is how long processes may take to end whose parent was killed.
const orphans = 10 * time.Second

// inheritable takes a lock that whoever inherits the file has too: it lasts until the last process that has it open is gone, so that a parent
// that was killed leaves it to its children. One whose owner is dead is waited for; with a living owner it is refused.
func (h *Host) inheritable(ctx context.Context, name string, refusal func(owner int, alive bool) error) (*os.File, error) {
	for deadline := time.Now().Add(orphans); ; {
		f, err := h.tryLock(name)
		if err == nil {
			return f, writeOwner(f)
		} else if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, err
		}
		if owner, alive := h.owner(name); alive || time.Now().After(deadline) {
			return nil, refusal(owner, alive)
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(patiencePoll):
		}
	}
}

// daemonWait is how long a daemon that has just been ended may take to be gone.
const daemonWait = time.Second

// LockDaemon gives the right to be this host's keytrusteed, until the file is closed or the process ends. While it has the state in
// its memory nobody else may exchange that on the disk: the next change would put the old one back. Where no file can be made there
// is none, and nothing can be exchanged either: such a host still serves what it can.
func (h *Host) LockDaemon() (*os.File, error) {
	for deadline := time.Now().Add(daemonWait); ; time.Sleep(patiencePoll) {
		f, err := h.tryLock("daemon.lock")
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return f, nil
		}
		if time.Now().After(deadline) {
			return nil, hinted("wait until it has ended: ktadmin status", "another keytrusteed runs on this host, or its data is being exchanged")
		}
	}
}

// writeOwner writes who has the lock.
func writeOwner(f *os.File) error {
	text := []byte(strconv.Itoa(os.Getpid()) + "\n")
	if err := errors.Join(f.Truncate(0), func() error { _, err := f.WriteAt(text, 0); return err }()); err != nil {
		f.Close()
		return err
	}
	return nil
}

// owner is who took the lock last, and whether that process is alive: not one that is dead and was not waited for either.
func (h *Host) owner(name string) (pid int, alive bool) {
	text, err := os.ReadFile(filepath.Join(h.NodeDir(), name))
	if err != nil {
		return 0, false
	}
	pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, false
	}
	_, err = os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "exe"))
	return pid, !errors.Is(err, fs.ErrNotExist)
}

// tryLock takes the lock that is a file of the node directory, or returns EWOULDBLOCK.
func (h *Host) tryLock(name string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(h.NodeDir(), name), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
