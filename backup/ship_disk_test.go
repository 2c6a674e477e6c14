package backup

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// smallDisk puts a small disk of its own at a directory.
func smallDisk(t *testing.T, dir string, size int) {
	t.Helper()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", size)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// own gives a file to the owner of another one.
func own(t *testing.T, path string, like fs.FileInfo) {
	t.Helper()
	owner := like.Sys().(*syscall.Stat_t)
	if err := os.Chown(path, int(owner.Uid), int(owner.Gid)); err != nil {
		t.Fatal(err)
	}
}

// TestShipReadOnly: a directory that may only be read, as those outside of the state are for the service, is told with what to do.
func TestShipReadOnly(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a disk")
	}
	dir := t.TempDir()
	smallDisk(t, dir, 8*mib)
	y := newYard(t, parsed(t, "file://"+dir))
	a := y.add(1, 100)
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if d := y.fails("read-only file system"); !strings.Contains(d.Remedy, "ReadWritePaths="+dir) {
		t.Errorf("%+v", d)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	y.ship(a)
	holds(t, dir, a)
}
