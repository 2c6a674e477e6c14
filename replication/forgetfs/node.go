package forgetfs

import (
	"context"
	"fmt"
	"os"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// node is a file or directory of the tree. It holds it open, whatever its name is by now, so that its inode's number is
// nobody else's.
type node struct {
	gofs.Inode
	fs      *FS
	file    *os.File // of O_PATH; closed when the node is collected
	ino     uint64
	lasting bool
}

// openPath opens what bears the name in the directory, without following a link and without being able to read it.
func openPath(dir int, name string) (*os.File, error) {
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

func inodeOf(file *os.File) uint64 {
	var st unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		panic(err) // it is open
	}
	return st.Ino
}

func (n *node) fd() int { return int(n.file.Fd()) }

// path is a name for what n holds open, whatever its own names are.
func (n *node) path() string { return fmt.Sprintf("/proc/self/fd/%d", n.fd()) }

// lies is where the file lies in backing.
func (n *node) lies() string {
	path, err := os.Readlink(n.path())
	if err != nil {
		return err.Error()
	}
	return path
}

// child is what bears the name in n; out says of it what the kernel wants to know. The caller holds the lock of names.
func (n *node) child(ctx context.Context, name string, out *fuse.EntryOut) (*gofs.Inode, *node, error) {
	file, err := openPath(n.fd(), name)
	if err != nil {
		return nil, nil, err
	}
	c := &node{fs: n.fs, file: file, lasting: n.fs.lasting(name)}
	var st syscall.Stat_t
	if err := syscall.Fstat(c.fd(), &st); err != nil {
		return nil, nil, err
	}
	c.ino = st.Ino
	n.fs.describe(&st, &out.Attr)
	return n.NewInode(ctx, c, gofs.StableAttr{Mode: st.Mode & syscall.S_IFMT, Ino: st.Ino, Gen: 1}), c, nil
}

// describe leaves out the names that lie among the graves. The caller holds the lock of names.
func (f *FS) describe(st *syscall.Stat_t, out *fuse.Attr) {
	out.FromStat(st)
	out.Nlink -= min(out.Nlink, f.names.buried[st.Ino])
}

func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	n.fs.names.RLock()
	defer n.fs.names.RUnlock()
	inode, _, err := n.child(ctx, name, out)
	return inode, errno(err)
}

func (n *node) Getattr(ctx context.Context, _ gofs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.fs.names.RLock()
	defer n.fs.names.RUnlock()
	var st syscall.Stat_t
	if err := syscall.Fstat(n.fd(), &st); err != nil {
		return errno(err)
	}
	n.fs.describe(&st, &out.Attr)
	return 0
}

func (n *node) Setattr(ctx context.Context, f gofs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	uid, hasUID := in.GetUID()
	gid, hasGID := in.GetGID()
	if hasUID || hasGID {
		owner, group := -1, -1
		if hasUID {
			owner = int(uid)
		}
		if hasGID {
			group = int(gid)
		}
		if err := unix.Fchownat(n.fd(), "", owner, group, unix.AT_EMPTY_PATH); err != nil {
			return errno(err)
		}
	}
	if mode, ok := in.GetMode(); ok {
		if err := unix.Chmod(n.path(), mode&0o7777); err != nil {
			return errno(err)
		}
	}
	if size, ok := in.GetSize(); ok {
		if err := n.content().truncate(n, int64(size)); err != nil {
			return errno(err)
		}
	}
	if err := n.setTimes(in); err != nil {
		return errno(err)
	}
	return n.Getattr(ctx, f, out)
}

func (n *node) setTimes(in *fuse.SetAttrIn) error {
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Nsec: unix.UTIME_OMIT}}
	var err error
	if t, ok := in.GetATime(); ok {
		if times[0], err = unix.TimeToTimespec(t); err != nil {
			return err
		}
	}
	if t, ok := in.GetMTime(); ok {
		if times[1], err = unix.TimeToTimespec(t); err != nil {
			return err
		}
	}
	if times[0].Nsec == unix.UTIME_OMIT && times[1].Nsec == unix.UTIME_OMIT {
		return nil
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, n.path(), times, 0)
}

func (n *node) Readlink(context.Context) ([]byte, syscall.Errno) {
	target := make([]byte, unix.PathMax)
	length, err := unix.Readlinkat(n.fd(), "", target)
	return target[:max(length, 0)], errno(err)
}

func (n *node) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	var st syscall.Statfs_t
	if err := syscall.Statfs(n.fs.tree, &st); err != nil {
		return errno(err)
	}
	out.FromStatfsT(&st)
	return 0
}

func (n *node) Readdir(context.Context) (gofs.DirStream, syscall.Errno) {
	return gofs.NewLoopbackDirStream(n.path())
}

// Fsync makes the file's data durable, or the directory's names; and the name under which either was made.
func (n *node) Fsync(context.Context, gofs.FileHandle, uint32) syscall.Errno {
	if n.IsDir() {
		n.fs.names.syncDir(n.ino)
		return 0
	}
	n.content().settle()
	n.fs.names.syncNew(n.ino)
	return 0
}

func (n *node) content() *content { return n.fs.contents.of(n.ino) }
