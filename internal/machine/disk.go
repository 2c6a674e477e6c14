package machine

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// home is where the service user's files are.
const home = "/var/lib/keytrustee"

// makeDisk makes an empty disk, whose space is taken from this machine as it is used.
func makeDisk(t testing.TB, size int64) (image string) {
	t.Helper()
	image = filepath.Join(t.TempDir(), "disk.ext4")
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", image).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v\n%s", err, out)
	}
	return image
}

// mountDisk mounts the image with a loop device of its own, which goes with the mount.
func mountDisk(image, to string, user int) error {
	if out, err := exec.Command("mount", "-o", "loop", image, to).CombinedOutput(); err != nil {
		return errors.New("mounting the disk: " + err.Error() + ": " + string(out))
	}
	if err := os.Remove(filepath.Join(to, "lost+found")); err != nil {
		return err
	}
	return errors.Join(os.Chown(to, user, user), os.Chmod(to, 0o700))
}

// ballast lies beside the disk's files, and takes the place that they need.
func (h *Host) ballast() string { return h.File(filepath.Join(h.disk, ".ballast")) }

// FillDisk leaves no free byte on the host's disk. Nothing is free when it returns, and what the host frees itself afterwards is.
func (h *Host) FillDisk(t testing.TB) {
	t.Helper()
	f, err := os.OpenFile(h.ballast(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for step := int64(1 << 30); step >= 1<<10; { // by what is there, down to the last block
		end, err := f.Seek(0, 2)
		if err != nil {
			t.Fatal(err)
		}
		switch err := unix.Fallocate(int(f.Fd()), 0, end, step); {
		case errors.Is(err, unix.ENOSPC):
			step /= 2
		case err != nil:
			t.Fatal("filling the disk of "+h.Name+": ", err)
		}
	}
}

// FreeDisk takes the ballast of FillDisk away.
func (h *Host) FreeDisk(t testing.TB) {
	t.Helper()
	if err := os.Remove(h.ballast()); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}

// DiskFree is how many bytes are free on the host's disk.
func (h *Host) DiskFree(t testing.TB) int64 {
	t.Helper()
	var s unix.Statfs_t
	if err := unix.Statfs(h.File(h.disk), &s); err != nil {
		t.Fatal(err)
	}
	return int64(s.Bavail) * s.Bsize
}
