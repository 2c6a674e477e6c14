package backup

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"keytrustee/postgres"
)

// reserve is what has to stay free on the disk: twice as much as writes of keys need.
const reserve = 512 << 20

// checkRoom refuses to begin where the backup, and the two databases that it is proven with, would not fit beside reserve.
func checkRoom(path string, database int64) error {
	free, err := freeIn(path)
	if err != nil {
		return err
	}
	const copies = 5 // the base backup and the dump, each in the backup, as it was unpacked, and restored; a dump is two thirds of a base backup
	want := copies*uint64(database) + reserve
	if free < want {
		return noRoom(path, fmt.Errorf("%d MiB are free, and %d MiB are wanted for a database of %d MiB", free>>20, want>>20, database>>20))
	}
	return nil
}

// freeIn is how many bytes are free for this process's user.
func freeIn(path string) (uint64, error) {
	var disk unix.Statfs_t
	if err := unix.Statfs(path, &disk); err != nil {
		return 0, fmt.Errorf("looking for room in %s: %w", path, err)
	}
	return disk.Bavail * uint64(disk.Bsize), nil
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

// spare has to stay free on the disk of the database while a backup is made on it. Where less than 256 MiB is left the pair takes no writes,
// and a backup must not be why.
const spare = 384 << 20

// lookOften is how often it is looked how much is free: a fast disk takes less than spare has over 256 MiB meanwhile.
const lookOften = 50 * time.Millisecond

// sparing ends the context when the backups lie on the disk of the database and less than spare is left there, whoever takes it. spared has to
// be called, and its error says so.
func (r *run) sparing(ctx context.Context) (_ context.Context, spared func() error, err error) {
	shared, err := sameDisk(r.Directory, r.Server.Data)
	if err != nil {
		return nil, nil, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	ended, full := make(chan struct{}), error(nil)
	go func() {
		defer close(ended)
		tick := time.NewTicker(lookOften)
		defer tick.Stop()
		for shared {
			if free, err := freeIn(r.Directory); err == nil && free < spare {
				full = noRoom(r.Directory, fmt.Errorf("%d MiB are left on this disk, which is the database's too, and it was given up so that writes of keys have what they need", free>>20))
				stop(full)
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return ctx, func() error { stop(nil); <-ended; return full }, nil
}

// sameDisk reports whether two directories lie on one file system.
func sameDisk(a, b string) (bool, error) {
	var of [2]unix.Stat_t
	for i, path := range []string{a, b} {
		if err := unix.Stat(path, &of[i]); err != nil {
			return false, fmt.Errorf("looking for the disk of %s: %w", path, err)
		}
	}
	return of[0].Dev == of[1].Dev, nil
}

// becauseFull makes an error of what happened on a disk that is full one of that: PostgreSQL says it in its log alone.
func (r *run) becauseFull(err error) error {
	const segment = 16 << 20 // what PostgreSQL takes at a time for its log
	if free, ferr := freeIn(r.Directory); err != nil && !diskFull(err) && ferr == nil && free < segment {
		return fmt.Errorf("%w: %w", syscall.ENOSPC, err)
	}
	return err
}
