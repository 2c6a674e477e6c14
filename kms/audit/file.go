package audit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"keytrustee/internal/durable"
)

// file appends to the file at path. One goroutine uses it at a time.
type file struct {
	path string
	sync func(*os.File) error // (*os.File).Sync

	f    *os.File
	torn bool // the last write may have ended within a line
}

// append writes lines, whole lines all of them, and syncs them if durably. If it fails, some of them may be in the file,
// the last one torn; the next append begins on a line of its own. After each failure the file is opened anew: when a
// sync fails, the kernel forgets what was not written, and only a new write can be believed.
func (a *file) append(lines []byte, durably bool) error {
	if err := a.open(); err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	if a.torn {
		lines = append([]byte("\n"), lines...)
	}
	n, err := a.f.Write(lines)
	if n > 0 {
		a.torn = lines[n-1] != '\n'
	}
	if err == nil && durably {
		err = a.sync(a.f)
	}
	if err != nil {
		a.close()
		return fmt.Errorf("audit log: %w", err)
	}
	return nil
}

// open opens the file unless it is open and still the one at path: log rotation moves it away.
func (a *file) open() error {
	if a.f != nil {
		now, err := os.Stat(a.path)
		then, err2 := a.f.Stat()
		if err == nil && err2 == nil && os.SameFile(now, then) {
			return nil
		}
		a.close()
	}
	f, err := os.OpenFile(a.path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && info.Mode().IsRegular() {
		if info.Mode().Perm()&0o077 != 0 {
			err = f.Chmod(0o600)
		}
		a.torn = false
		if size := info.Size(); size > 0 && err == nil {
			last := make([]byte, 1)
			_, err = f.ReadAt(last, size-1)
			a.torn = last[0] != '\n'
		}
		if err == nil {
			err = durable.SyncDir(filepath.Dir(a.path))
		}
	}
	if err != nil {
		f.Close()
		return err
	}
	a.f = f
	return nil
}

func (a *file) close() error {
	if a.f == nil {
		return nil
	}
	err := a.f.Close()
	a.f = nil
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}
