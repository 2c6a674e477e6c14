package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"keytrustee/internal/durable"
	"keytrustee/postgres"
)

// workDir is where a backup is restored to while it is proven. It is not there between two runs.
const workDir = ".work"

// closedTo are the permissions that nobody but the owner may have.
const closedTo = 0o077

// openDirectory makes the directory of the backups, or takes it, and refuses one that others may enter.
func openDirectory(path string) (*os.Root, error) {
	if err := durable.MkdirAll(path, 0o700); err != nil {
		return nil, &postgres.SetupError{Problem: "the directory of the backups, " + path + ", can not be made", Err: err,
			Remedy: "make it for the service's user, or name another one as backup_directory"}
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	info, err := root.Stat(".")
	if err != nil {
		root.Close()
		return nil, unreadable(path, err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if mode := info.Mode().Perm(); mode&closedTo != 0 || !ok || int(owner.Uid) != os.Geteuid() {
		root.Close()
		return nil, &postgres.SetupError{Problem: fmt.Sprintf("the directory of the backups, %s, has mode %04o or another owner: others could enter it", path, mode),
			Remedy: "give it to the service's user alone: chown and chmod 0700, or name another one as backup_directory"}
	}
	return root, nil
}

func unreadable(path string, err error) error {
	return &postgres.SetupError{Problem: "the directory of the backups, " + path + ", can not be read", Err: err,
		Remedy: "let the service's user read it, or name another one as backup_directory"}
}

// reserve is what has to stay free on the disk: twice as much as writes of keys need.
const reserve = 512 << 20

// checkRoom refuses to begin where the backup, and the two databases that it is proven with, would not fit beside reserve.
func checkRoom(path string, database int64) error {
	var disk unix.Statfs_t
	if err := unix.Statfs(path, &disk); err != nil {
		return fmt.Errorf("looking for room in %s: %w", path, err)
	}
	const copies = 4 // the base backup and the dump, each in the backup and restored
	free, want := disk.Bavail*uint64(disk.Bsize), copies*uint64(database)+reserve
	if free < want {
		return noRoom(path, fmt.Errorf("%d MiB are free, and %d MiB are wanted for a database of %d MiB", free>>20, want>>20, database>>20))
	}
	return nil
}

func noRoom(path string, err error) error {
	return &postgres.SetupError{Problem: "there is no room for a backup in " + path, Err: err,
		Remedy: "free some, or name a directory on another disk as backup_directory; the backups that are there were not touched"}
}

// explainDisk makes an error of a full disk one that says what to do.
func explainDisk(path string, err error) error {
	if diskFull(err) {
		return noRoom(path, err)
	}
	return err
}

func diskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// clean removes what a run that was killed has left: its server, its partial file, its receipt if the backup never got its
// name, and the directory that it worked in. The caller has the lock. Nothing is followed out of the directory.
func (r *run) clean(ctx context.Context) error {
	if err := r.removeWork(ctx); err != nil {
		return err
	}
	entries, err := fs.ReadDir(r.root.FS(), ".")
	if err != nil {
		return unreadable(r.Directory, err)
	}
	for _, e := range entries {
		name, partial := strings.CutSuffix(e.Name(), partialSuffix)
		switch {
		case partial && namePattern.MatchString(name):
			if err := r.discard(name); err != nil {
				return err
			}
		case strings.HasPrefix(e.Name(), ".kt-") && strings.HasSuffix(e.Name(), ".tmp"): // of a receipt
			if err := r.remove(e.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

// discard removes a backup that has not got its name. Its receipt goes first: what is left of it then is a partial file,
// which the next run knows again.
func (r *run) discard(name string) error {
	if _, err := r.root.Lstat(name + fileSuffix); errors.Is(err, fs.ErrNotExist) {
		if err := r.remove(name + receiptSuffix); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	return r.remove(name + partialSuffix)
}

// remove removes a file of the directory, or a link itself. That it is not there is no error.
func (r *run) remove(name string) error {
	if err := r.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return durable.SyncDir(r.Directory)
}

// removeWork ends the server that a backup was proven with, if it runs, and removes its files.
func (r *run) removeWork(ctx context.Context) error {
	for _, dir := range []string{workDir, filepath.Join(workDir, "data")} {
		info, err := r.root.Lstat(dir)
		if errors.Is(err, fs.ErrNotExist) {
			break
		} else if err != nil {
			return err
		}
		if !info.IsDir() { // a link, which could name the data of a server that is no throw-away
			if err := r.root.Remove(dir); err != nil {
				return err
			}
			break
		}
	}
	server, err := r.throwaway()
	if err != nil {
		return err
	}
	if err := server.Stop(ctx, postgres.Immediate); err != nil {
		return err
	}
	return errors.Join(r.root.RemoveAll(workDir), os.RemoveAll(server.Socket))
}

// throwaway is the server that a backup is proven with.
func (r *run) throwaway() (*postgres.Server, error) {
	return postgres.Throwaway(r.Server.Installation, filepath.Join(r.Directory, workDir), filepath.Join(r.Sockets, "backup"))
}
