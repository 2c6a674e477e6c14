package twohosts

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// birth is what a host's first process is told.
type birth struct {
	Name  string // the host's
	Root  string // an empty directory, which becomes the host's root
	Bin   string // holds our two programs
	Units string // holds their units
	User  int    // number of the system user keytrustee
}

// runInit is a host's first process. It makes the host, says so, and then buries orphans as long as the host lives.
func runInit() error {
	var b birth
	if err := json.Unmarshal([]byte(os.Getenv("BIRTH")), &b); err != nil {
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
func (b *birth) mountRoot() error {
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
	if err := unix.Chroot(in("root")); err != nil {
		return err
	}
	return os.Chdir("/")
}

// self is where a host has this program, under the names by which it is called.
const self = "/usr/local/lib/twohosts"

var aliases = []string{"/usr/bin/sudo", "/usr/bin/ssh", "/usr/bin/systemctl", "/usr/sbin/service"}

// open opens what will be installed, while this machine's root is still there. What it returns installs it into the root of then.
func (b *birth) open() (install func() error, err error) {
	type payload struct {
		from *os.File
		to   string
		mode os.FileMode
	}
	var all []payload
	add := func(from, to string, mode os.FileMode) {
		f, oerr := os.Open(from)
		err = errors.Join(err, oerr)
		all = append(all, payload{f, to, mode})
	}
	add("/proc/self/exe", self, 0o755)
	add(filepath.Join(b.Bin, "ktadmin"), "/usr/bin/ktadmin", 0o755)
	add(filepath.Join(b.Bin, "keytrusteed"), "/usr/bin/keytrusteed", 0o755)
	for _, unit := range []string{"keytrustee-db.service", "keytrusteed.service"} {
		add(filepath.Join(b.Units, unit), unitFile(unit), 0o644)
	}
	return func() error {
		for _, p := range all {
			text, err := io.ReadAll(p.from)
			if err != nil {
				return err
			}
			p.from.Close()
			if err := write(p.to, text, p.mode); err != nil {
				return err
			}
		}
		for _, name := range aliases {
			if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			if err := os.Symlink(self, name); err != nil {
				return err
			}
		}
		return nil
	}, err
}

// identify makes the host one that is not this machine: its name, its id, its user, and no files of ours.
func (b *birth) identify() error {
	for _, dir := range []string{"/var/lib/keytrustee", "/var/log/keytrustee", "/etc/sysconfig", "/path"} {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
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
		if err := write(file, []byte(kept.String()+line), 0o644); err != nil {
			return err
		}
	}
	for file, text := range map[string]string{
		"/etc/hosts":      names,
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
