package machine

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// origin is what a host's first process is told.
type origin struct {
	Birth
	Root  string // an empty directory, which becomes the host's root
	Bin   string // holds our two programs
	Units string // holds their units
	Names string // /etc/hosts
}

const originVariable = "MACHINE_ORIGIN"

// runInit is a host's first process. It makes the host, says so, and then buries orphans as long as the host lives.
func runInit() error {
	var b origin
	if err := json.Unmarshal([]byte(os.Getenv(originVariable)), &b); err != nil {
		return err
	}
	install, err := b.open()
	if err != nil {
		return err
	}
	if err := b.mountRoot(); err != nil {
		return err
	}
	if err := install(); err != nil {
		return err
	}
	if err := b.identify(); err != nil {
		return err
	}
	if _, err := os.StartProcess(self, []string{"sshd"}, &os.ProcAttr{Env: shellEnvironment, Files: []*os.File{nil, os.Stdout, os.Stderr}}); err != nil {
		return err
	}
	ready := os.NewFile(3, "ready")
	ready.Write([]byte{1})
	ready.Close()
	for {
		if _, err := unix.Wait4(-1, nil, 0, nil); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// mountRoot makes b.Root the root of this process: this machine's files as they are, with every change kept in memory, and directories
// of its own where a running system keeps its state.
func (b *origin) mountRoot() error {
	// In a chroot the root need be no mount; then there is nothing to part from the machine.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("parting from this machine's mounts: %w", err)
	}
	in := func(name string) string { return filepath.Join(b.Root, name) }
	type mount struct {
		from, to, kind string
		flags          uintptr
		data           string
	}
	mounts := []mount{
		{"tmpfs", b.Root, "tmpfs", 0, "mode=0755"},
		{"overlay", in("root"), "overlay", 0, "lowerdir=/,upperdir=" + in("changes") + ",workdir=" + in("work")},
		{"proc", in("root/proc"), "proc", 0, ""},
		{"sysfs", in("root/sys"), "sysfs", unix.MS_RDONLY, ""},
		{"/dev", in("root/dev"), "", unix.MS_BIND | unix.MS_REC, ""},
		{"tmpfs", in("root/dev/shm"), "tmpfs", 0, "mode=1777"},
		{"tmpfs", in("root/run"), "tmpfs", 0, "mode=0755"},
		{"tmpfs", in("root/tmp"), "tmpfs", 0, "mode=1777"},
	}
	for i, m := range mounts {
		if err := unix.Mount(m.from, m.to, m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("mounting %s on %s: %w", m.from, m.to, err)
		}
		if i > 0 {
			continue
		}
		for _, dir := range []string{"root", "changes", "work"} {
			if err := os.Mkdir(in(dir), 0o755); err != nil {
				return err
			}
		}
	}
	for _, dir := range []string{home, "/var/log/keytrustee", "/etc/sysconfig", "/path"} { // no files of ours
		if err := os.RemoveAll(in("root" + dir)); err != nil {
			return err
		}
	}
	if b.Disk > 0 {
		image := os.NewFile(4, "disk")
		defer image.Close()
		if err := os.MkdirAll(in("root"+b.Mount), 0o700); err != nil {
			return err
		}
		if err := mountDisk(image, in("root"+b.Mount), b.User); err != nil {
			return err
		}
	}
	if err := unix.Chroot(in("root")); err != nil {
		return err
	}
	return os.Chdir("/")
}

// identify makes the host one that is not this machine: its name, its id, its user, and the numbers of its processes.
func (b *origin) identify() error {
	if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte("1000000"), 0); err != nil {
		return err
	}
	if err := os.Mkdir("/etc/sysconfig", 0o755); err != nil {
		return err
	}
	for file, line := range map[string]string{
		"/etc/passwd": fmt.Sprintf("keytrustee:x:%d:%d::/var/lib/keytrustee:/usr/sbin/nologin\n", b.User, b.User),
		"/etc/group":  fmt.Sprintf("keytrustee:x:%d:\n", b.User),
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var kept strings.Builder
		for l := range strings.Lines(string(text)) {
			if !strings.HasPrefix(l, "keytrustee:") {
				kept.WriteString(l)
			}
		}
		if b.Bare {
			line = ""
		}
		if err := write(file, []byte(kept.String()+line), 0o644); err != nil {
			return err
		}
	}
	for file, text := range map[string]string{
		"/etc/hosts":      b.Names,
		"/etc/hostname":   b.Name + "\n",
		"/etc/machine-id": fmt.Sprintf("%032x\n", b.User),
	} {
		if err := write(file, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return unix.Sethostname([]byte(b.Name))
}

// write makes a file anew: where there was a symbolic link, there is none then.
func write(path string, text []byte, mode os.FileMode) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, text, mode)
}
