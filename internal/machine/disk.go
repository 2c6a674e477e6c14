package machine

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// home is where the service user's files are.
const home = "/var/lib/keytrustee"

// makeDisk makes an empty disk, whose space is taken as it is used: of this machine's memory, or of its disk. It is gone with whoever has it
// open.
func makeDisk(t testing.TB, b Birth) *os.File {
	t.Helper()
	image, err := openImage(t, b)
	if err != nil {
		t.Fatal(err)
	}
	if err := image.Truncate(b.Disk); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", "/proc/self/fd/3")
	cmd.ExtraFiles = []*os.File{image}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v\n%s", err, out)
	}
	return image
}

func openImage(t testing.TB, b Birth) (*os.File, error) {
	if !b.Stable {
		fd, err := unix.MemfdCreate(fmt.Sprintf("disk-of-%s-for-%d", b.Name, os.Getpid()), unix.MFD_CLOEXEC)
		return os.NewFile(uintptr(fd), "disk"), err
	}
	image, err := os.CreateTemp(t.TempDir(), "disk")
	if err != nil {
		return nil, err
	}
	return image, os.Remove(image.Name())
}

// mountDisk mounts the image with a loop device of its own, which goes with the mount.
func mountDisk(image *os.File, to string, user int) error {
	device, err := attach(image)
	if err != nil {
		return fmt.Errorf("a loop device for the disk: %w", err)
	}
	defer device.Close()
	if err := unix.Mount(device.Name(), to, "ext4", 0, ""); err != nil {
		return fmt.Errorf("mounting %s: %w", device.Name(), err)
	}
	if err := os.Remove(filepath.Join(to, "lost+found")); err != nil {
		return err
	}
	return errors.Join(os.Chown(to, user, user), os.Chmod(to, 0o700))
}

// attach makes the image a device, which is free again when nobody has it open or mounted.
func attach(image *os.File) (*os.File, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	for {
		number, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, err
		}
		device, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", number), os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		config := unix.LoopConfig{Fd: uint32(image.Fd()), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}}
		if name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", image.Fd())); err == nil { // for losetup, where there is no /sys
			copy(config.Info.File_name[:len(config.Info.File_name)-1], name)
		}
		err = unix.IoctlLoopConfigure(int(device.Fd()), &config)
		if err == nil {
			return device, nil
		}
		device.Close()
		if !errors.Is(err, unix.EBUSY) { // somebody else was faster
			return nil, err
		}
	}
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
