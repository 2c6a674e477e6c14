package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"keytrustee/postgres"
)

// holder is who has a lock, as its file tells.
type holder struct {
	PID   int       `json:"pid"`
	Since time.Time `json:"since"`
}

// Making reports whether a backup is being made by whoever has the lock: Create, of another process or of this one.
func Making(lockFile string) (bool, error) {
	f, err := os.Open(lockFile)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	defer f.Close() // and with it the lock, which is had for a moment; hold waits for longer
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, nil
	} else if err != nil {
		return false, fmt.Errorf("looking at the lock %s: %w", lockFile, err)
	}
	return false, nil
}

// lock holds off other backups of this host, until release or the end of this process.
func lock(ctx context.Context, path string, wait bool) (release func(), err error) {
	return holdWhenFree(ctx, wait, path, "a backup of this host is being made already", "wait until it has ended: ktadmin backup list shows it then")
}

// holdWhenFree is hold. With wait it lets whoever has the lock end first, and ends with ctx.
func holdWhenFree(ctx context.Context, wait bool, path, problem, remedy string) (release func(), err error) {
	const pace = 200 * time.Millisecond
	for {
		release, err := hold(path, time.Now(), problem, remedy)
		if _, held := errors.AsType[*postgres.SetupError](err); !held || !wait {
			return release, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(pace):
		}
	}
}

// hold takes a lock, until release or the end of this process. Where somebody has it, a *postgres.SetupError says so by the
// problem, and who it is.
func hold(path string, now time.Time, problem, remedy string) (release func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flockSoon(f); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		return nil, &postgres.SetupError{Problem: problem + heldBy(f), Remedy: remedy}
	}
	text, err := json.Marshal(holder{os.Getpid(), now.UTC().Truncate(time.Second)})
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt(append(text, '\n'), 0)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// flockSoon takes a lock that may be had by somebody who only looks at it.
func flockSoon(f *os.File) (err error) {
	const looks, pause = 10, 10 * time.Millisecond
	for range looks {
		if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		time.Sleep(pause)
	}
	return err
}

// heldBy continues a sentence; with nothing, if the file does not tell.
func heldBy(f io.Reader) string {
	var h holder
	if text, err := io.ReadAll(io.LimitReader(f, 1024)); err != nil || json.Unmarshal(text, &h) != nil {
		return ""
	}
	return fmt.Sprintf(", by process %d since %s", h.PID, h.Since.Format("2006-01-02 15:04:05 UTC"))
}

// lockDirectory holds off others that would work in the directory, until release or the end of this process.
func lockDirectory(root *os.Root, path string) (release func(), err error) {
	f, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		return nil, &postgres.SetupError{Problem: "a restore test is under way in " + path, Remedy: "wait until it has ended, or name another directory with --directory"}
	}
	return func() { f.Close() }, nil
}
