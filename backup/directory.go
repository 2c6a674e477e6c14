package backup

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"keytrustee/internal/durable"
	"keytrustee/postgres"
)

// workDir is where a restore test unpacks to. It is not there between two runs.
const workDir = ".work"

// work is where this host restores its backup while that is proven; not there between two runs. Its name is of this host and this cluster
// alone, for another one may share the directory.
func (r *run) work() string {
	cluster := sha256.Sum256([]byte(r.Facts.Cluster))
	return fmt.Sprintf("%s-%s-%x", workDir, r.Facts.Host, cluster[:4])
}

// closedTo are the permissions that nobody but the owner may have.
const closedTo = 0o077

// openDirectory makes the directory of the backups, or takes it, and refuses one that others may enter.
func openDirectory(path string) (*os.Root, error) {
	return openClosed(path, "the directory of the backups", "backup_directory")
}

// openClosed makes a directory for this process's user alone, or takes it. The errors say what it is to the operator, and with which
// setting another one is named.
func openClosed(path, what, setting string) (*os.Root, error) {
	refuse := func(problem string, err error, remedy string) (*os.Root, error) {
		return nil, &postgres.SetupError{Problem: what + ", " + path + ", " + problem, Err: err, Remedy: remedy + ", or name another one as " + setting}
	}
	if err := durable.MkdirAll(path, 0o700); err != nil {
		return refuse("can not be made", err, "make it for the user that this runs as")
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return refuse("can not be read", err, "let the user that this runs as read it")
	}
	info, err := root.Stat(".")
	if err != nil {
		root.Close()
		return refuse("can not be read", err, "let the user that this runs as read it")
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if mode := info.Mode().Perm(); mode&closedTo != 0 || !ok || int(owner.Uid) != os.Geteuid() {
		root.Close()
		return refuse(fmt.Sprintf("has mode %04o or another owner: others could enter it", mode), nil, "give it to the user that this runs as, alone (chown, and chmod 0700)")
	}
	return root, nil
}

func unreadable(path string, err error) error {
	return &postgres.SetupError{Problem: "the directory of the backups, " + path + ", can not be read", Err: err,
		Remedy: "let the service's user read it, or name another one as backup_directory"}
}

// clean removes what a run that was killed has left: its server, its partial file, its receipt if the backup never got its
// name, and the directory that it worked in. The caller has the lock, of this host: what another one leaves in a directory that the two share
// is not touched. Nothing is followed out of the directory.
func (r *run) clean(ctx context.Context) error {
	if err := r.trial().remove(ctx); err != nil {
		return err
	}
	entries, err := fs.ReadDir(r.root.FS(), ".")
	if err != nil {
		return unreadable(r.Directory, err)
	}
	own := backupsOf(r.Facts.Host)
	for _, e := range entries {
		name, partial := strings.CutSuffix(e.Name(), partialSuffix)
		told, _, temporary := strings.Cut(strings.TrimPrefix(e.Name(), "."), receiptSuffix+".")
		switch {
		case partial && own.MatchString(name):
			if err := r.discard(name); err != nil {
				return err
			}
		case temporary && strings.HasSuffix(e.Name(), ".tmp") && own.MatchString(told): // of a receipt
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
