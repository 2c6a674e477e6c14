package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"keytrustee/internal/durable"
)

// place is the directory of a target while somebody is there. One at a time uses it. Names are those of files in it.
type place interface {
	files() (map[string]int64, error) // sizes; noFile: it is something else
	read(name string) (io.ReadCloser, error)
	write(name string, at int64) (sink, error) // made if it is not there; cut to that size
	rename(from, to string) error              // replaces what is there; durable, as far as the target can be asked for that
	remove(name string) error
	room() (free uint64, known bool)
	close() error
}

// noFile is the size of what is no plain file.
const noFile = -1

// sink is a file that is written.
type sink interface {
	io.WriterAt
	Sync() error // where the target can be asked for that
	Close() error
}

// directory is the place of a target on this host.
type directory struct {
	ctx   context.Context
	moved func()
	path  string
	root  *os.Root
}

// openPlace goes to a directory of this host. It is not one of those that the backups themselves lie in.
func openPlace(ctx context.Context, path, own string, moved func()) (*directory, error) {
	root, err := os.OpenRoot(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoDirectory
	} else if err != nil {
		return nil, err
	}
	moved()
	d := &directory{ctx, moved, path, root}
	there, err := root.Stat(".")
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	if here, err := os.Stat(own); err == nil && os.SameFile(here, there) {
		return nil, errors.Join(&TargetError{Err: errors.New("it is the directory of the backups itself"), Remedy: "name one on another machine, or on another disk"}, d.close())
	}
	return d, nil
}

// step begins something, unless nobody waits for it any more.
func (d *directory) step() error {
	d.moved()
	return d.ctx.Err()
}

func (d *directory) files() (map[string]int64, error) {
	if err := d.step(); err != nil {
		return nil, err
	}
	entries, err := fs.ReadDir(d.root.FS(), ".")
	if err != nil {
		return nil, err
	}
	sizes := map[string]int64{}
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		sizes[e.Name()] = sizeOf(info)
	}
	return sizes, nil
}

func sizeOf(info fs.FileInfo) int64 {
	if !info.Mode().IsRegular() {
		return noFile
	}
	return info.Size()
}

func (d *directory) read(name string) (io.ReadCloser, error) {
	if err := d.step(); err != nil {
		return nil, err
	}
	f, err := d.root.Open(name)
	if err != nil {
		return nil, err
	}
	unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) // so that it comes from the disk, if that can be had
	return f, nil
}

func (d *directory) write(name string, at int64) (sink, error) {
	if err := d.step(); err != nil {
		return nil, err
	}
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(at); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (d *directory) rename(from, to string) error {
	if err := d.step(); err != nil {
		return err
	}
	if err := d.root.Rename(from, to); err != nil {
		return err
	}
	return durable.SyncDir(d.path)
}

func (d *directory) remove(name string) error {
	if err := d.step(); err != nil {
		return err
	}
	if err := d.root.Remove(name); err != nil {
		return err
	}
	return durable.SyncDir(d.path)
}

func (d *directory) room() (uint64, bool) {
	var disk unix.Statfs_t
	if err := unix.Statfs(d.path, &disk); err != nil {
		return 0, false
	}
	return disk.Bavail * uint64(disk.Bsize), true
}

func (d *directory) close() error { return d.root.Close() }

// roomFor refuses what does not fit.
func roomFor(p place, wanted int64) error {
	if free, known := p.room(); known && free < uint64(wanted) {
		return &TargetError{Err: fmt.Errorf("it has no room: %d KiB are free, and %d KiB are still to be sent", free>>10, wanted>>10),
			Remedy: "free some there, and run ktadmin backup ship: it goes on where this run ended; what is listed there was not touched"}
	}
	return nil
}
