package forgetfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Options say how a file system differs from one that forgets everything.
type Options struct {
	// Lasting are patterns of file names, as filepath.Match takes them, whose data is durable when it is written: logs that
	// a test wants to read after the loss.
	Lasting []string
	// Written, if it is not nil, is told of each write that a file has taken, of several at once. file says where that file lies in
	// backing now. data is the writer's again when it returns.
	Written func(file func() string, offset int64, data []byte)
}

// FS is one mounted file system. Its methods may not be called at once.
type FS struct {
	dir     string
	tree    string // below backing: what dir shows
	graves  string // below backing: what was removed, as long as it may come back
	options Options
	server  *fuse.Server

	names    *names
	contents *contents
}

// patience is how long an unmount waits for the last file to be closed by processes that have been killed.
const patience = 2 * time.Second

// Mount shows at dir, an empty directory, what lies in backing, which it makes if it is not there. What backing held before
// is durable. The file system belongs to dir's owner. Every user may use it if this process is root's.
func Mount(dir, backing string, options Options) (*FS, error) {
	f := &FS{dir: dir, tree: filepath.Join(backing, "tree"), graves: filepath.Join(backing, "graves"), options: options}
	if err := f.makeTree(); err != nil {
		return nil, fmt.Errorf("making %s: %w", backing, err)
	}
	if err := f.mount(); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *FS) makeTree() error {
	var st unix.Stat_t
	if err := unix.Stat(f.dir, &st); err != nil {
		return err
	}
	if err := os.RemoveAll(f.graves); err != nil {
		return err
	}
	if err := os.MkdirAll(f.graves, 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(f.tree, 0o700); err != nil {
		if errors.Is(err, os.ErrExist) {
			return nil
		}
		return err
	}
	if err := os.Chown(f.tree, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	return unix.Chmod(f.tree, st.Mode&0o7777)
}

// mount begins with everything durable.
func (f *FS) mount() error {
	f.names, f.contents = newNames(f.graves), newContents()
	file, err := openPath(unix.AT_FDCWD, f.tree)
	if err != nil {
		return fmt.Errorf("opening %s: %w", f.tree, err)
	}
	long := time.Hour // nobody changes the tree but through us
	f.server, err = gofs.Mount(f.dir, &node{fs: f, file: file, ino: inodeOf(file)}, &gofs.Options{
		EntryTimeout: &long, AttrTimeout: &long,
		MountOptions: fuse.MountOptions{
			DirectMount: true, AllowOther: os.Geteuid() == 0, Options: []string{"default_permissions"},
			FsName: "forgetfs", Name: "forgetfs", DisableXAttrs: true, MaxWrite: 1 << 19, // fits into a pipe with its header
		},
	})
	if err != nil {
		return fmt.Errorf("mounting at %s: %w", f.dir, err)
	}
	return nil
}

// Forget takes the file system away, undoes what was not durable, and mounts it again. Whoever used it must have ended
// before; an error that names him if not, and then nothing is forgotten.
func (f *FS) Forget() error {
	if err := f.unmount(); err != nil {
		return err
	}
	if err := errors.Join(f.names.undo(), f.contents.undo()); err != nil {
		return fmt.Errorf("forgetting what was not synced in %s: %w", f.tree, err)
	}
	return f.mount()
}

// Unmount takes the file system away and forgets nothing: backing holds what dir showed. If somebody still uses it, it is
// an error that names him, and the file system is gone for everybody else.
func (f *FS) Unmount() error {
	err := f.unmount()
	if err != nil {
		return errors.Join(err, unix.Unmount(f.dir, unix.MNT_DETACH))
	}
	f.contents.settleAll()
	return os.RemoveAll(f.graves)
}

func (f *FS) unmount() error {
	var err error
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if err = f.server.Unmount(); err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("unmounting %s: %w; used by %s", f.dir, err, strings.Join(f.users(), ", "))
		}
	}
}

// users are the processes that have something of the file system open, as far as this process may see.
func (f *FS) users() []string {
	var users []string
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, process := range processes {
		links, _ := filepath.Glob(process + "/fd/*")
		for _, link := range append(links, process+"/cwd", process+"/exe") {
			target, err := os.Readlink(link)
			if err == nil && (target == f.dir || strings.HasPrefix(target, f.dir+"/")) {
				command, _ := os.ReadFile(process + "/comm")
				users = append(users, fmt.Sprintf("%s (%s, %s)", filepath.Base(process), strings.TrimSpace(string(command)), target))
				break
			}
		}
	}
	return users
}

// lasting says whether the data of a file of that name is durable when it is written.
func (f *FS) lasting(name string) bool {
	for _, pattern := range f.options.Lasting {
		if match, _ := filepath.Match(pattern, name); match {
			return true
		}
	}
	return false
}

// errno is what the kernel is told of an error.
func errno(err error) syscall.Errno { return gofs.ToErrno(err) }
