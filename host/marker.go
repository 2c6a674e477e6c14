package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"keytrustee/internal/durable"
)

// A restore from a backup is for a host that has lost its data, and lost data may turn up: a disk that is mounted again lies at the path that
// the journal names, and holds what no backup has. So what a restore makes it makes in a directory that it has marked first, under a name that
// is its own, and nothing is removed from one, and no server stopped in it, that has no such mark.
//
// pg_basebackup and initdb want an empty directory, so a join and a bootstrap leave no mark: they note which directory it is, and nothing is removed
// from another one that lies at its path, which has been mounted or moved there.

// marker is the path of the mark that the operation leaves in dir; empty: it leaves none.
func (j *Journal) marker(dir string) string {
	if j.Mark == "" {
		return ""
	}
	return filepath.Join(dir, ".restoring-"+j.Mark)
}

// which is what a directory is told by from another one at its path, also after the machine was started anew: the number that its file system gives
// it, and when it was made, where that is kept.
func which(dir string) (string, error) {
	var s unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, dir, 0, unix.STATX_INO|unix.STATX_BTIME, &s); err != nil {
		return "", &os.PathError{Op: "statx", Path: dir, Err: err}
	}
	made := ""
	if s.Mask&unix.STATX_BTIME != 0 {
		made = time.Unix(s.Btime.Sec, int64(s.Btime.Nsec)).UTC().Format(time.RFC3339Nano)
	}
	return strings.TrimSuffix(fmt.Sprintf("%d %s", s.Ino, made), " "), nil
}

// checkMarked refuses dir if it holds anything, and is not the directory that the operation is said to be filling: by the mark that is in it, or,
// of an operation that leaves none, by which one it is. One of an earlier release, which has noted neither, is believed.
func (h *Host) checkMarked(j *Journal, dir string) error {
	if j.Operation != rebuildOperation && (j.Is == "" || j.Making != dir) {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	} else if err != nil {
		return err
	}
	if marker := j.marker(dir); marker != "" {
		if have, err := exists(marker); err != nil || have {
			return err
		}
	}
	if j.Operation != rebuildOperation {
		if is, err := which(dir); err != nil || is == j.Is {
			return err
		}
		return hinted("keep it, for it may hold what no other host has: stop what runs in it, unmount it or move it aside, and repeat the command",
			"the directory %s is not the one that the %s was filling, and has something in it; nothing was changed", dir, j.Operation)
	}
	return hinted("if it is data that was lost and has come back, keep it, for it may hold what the backup has not: stop what runs in it, unmount it or move it aside, and repeat the command",
		"what is in the directory %s is not what the restore from a backup was making there; nothing was changed", dir)
}

// clearMarked removes what is in dir, the mark last.
func (h *Host) clearMarked(j *Journal, dir string) error {
	if err := h.checkMarked(j, dir); err != nil {
		return err
	}
	if err := clearBut(dir, j.marker(dir)); err != nil {
		return err
	}
	if marker := j.marker(dir); marker != "" {
		return durable.Remove(marker)
	}
	return nil
}

// clearBut removes what is in dir, if there is one, but for the path kept, and makes that durable: what is removed next is not gone before it.
func clearBut(dir, kept string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if path := filepath.Join(dir, e.Name()); path != kept {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	if len(entries) == 0 {
		return nil
	}
	return durable.SyncDir(dir)
}

// raise moves what is in dir to the directory to, on the same disk, and removes dir.
func raise(dir, to string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.Rename(filepath.Join(dir, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	if err := durable.SyncDir(to); err != nil {
		return err
	}
	return durable.Remove(dir)
}
