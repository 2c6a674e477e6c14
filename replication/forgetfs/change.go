package forgetfs

import (
	"context"
	"os"
	"strconv"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// made notes that the name is new in n, and returns what bears it. It belongs to whoever asked.
func (n *node) made(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*gofs.Inode, *node, error) {
	if caller, ok := fuse.FromContext(ctx); ok && os.Geteuid() == 0 {
		if err := unix.Fchownat(n.fd(), name, int(caller.Uid), int(caller.Gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return nil, nil, err
		}
	}
	if mode&unix.S_IFMT != unix.S_IFLNK { // our own umask has nothing to say here
		if err := unix.Fchmodat(n.fd(), name, mode&0o7777, 0); err != nil {
			return nil, nil, err
		}
	}
	inode, c, err := n.child(ctx, name, out)
	if err != nil {
		return nil, nil, err
	}
	ch := &change{keys: []entry{{n.ino, name}}, waits: []uint64{n.ino}, made: c.ino, undo: func() error {
		return remove(n.fd(), name)
	}}
	n.fs.names.add(ch)
	if c.lasting {
		n.fs.names.commit(ch)
	}
	return inode, c, nil
}

func remove(dir int, name string) error {
	if err := unix.Unlinkat(dir, name, 0); err != unix.EISDIR {
		return err
	}
	return unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
}

func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	n.fs.names.Lock()
	defer n.fs.names.Unlock()
	if err := unix.Mkdirat(n.fd(), name, mode&0o7777); err != nil {
		return nil, errno(err)
	}
	inode, _, err := n.made(ctx, name, mode, out)
	return inode, errno(err)
}

func (n *node) Mknod(ctx context.Context, name string, mode, dev uint32, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	n.fs.names.Lock()
	defer n.fs.names.Unlock()
	if err := unix.Mknodat(n.fd(), name, mode, int(dev)); err != nil {
		return nil, errno(err)
	}
	inode, _, err := n.made(ctx, name, mode, out)
	return inode, errno(err)
}

func (n *node) Symlink(ctx context.Context, target, name string, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	n.fs.names.Lock()
	defer n.fs.names.Unlock()
	if err := unix.Symlinkat(target, n.fd(), name); err != nil {
		return nil, errno(err)
	}
	inode, _, err := n.made(ctx, name, unix.S_IFLNK, out)
	return inode, errno(err)
}

func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*gofs.Inode, gofs.FileHandle, uint32, syscall.Errno) {
	n.fs.names.Lock()
	defer n.fs.names.Unlock()
	fd, err := unix.Openat(n.fd(), name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, mode&0o7777)
	if err != nil && (err != unix.EEXIST || flags&unix.O_EXCL != 0) {
		return nil, nil, 0, errno(err)
	}
	var inode *gofs.Inode
	var c *node
	if err == nil {
		unix.Close(fd)
		inode, c, err = n.made(ctx, name, mode, out)
	} else {
		inode, c, err = n.child(ctx, name, out)
	}
	if err != nil {
		return nil, nil, 0, errno(err)
	}
	h, err := c.open(flags)
	if err != nil {
		return nil, nil, 0, errno(err)
	}
	return inode, h, fuse.FOPEN_DIRECT_IO, 0
}

func (n *node) Link(ctx context.Context, target gofs.InodeEmbedder, name string, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	n.fs.names.Lock()
	defer n.fs.names.Unlock()
	if err := unix.Linkat(unix.AT_FDCWD, target.(*node).path(), n.fd(), name, unix.AT_SYMLINK_FOLLOW); err != nil {
		return nil, errno(err)
	}
	inode, _, err := n.child(ctx, name, out)
	if err != nil {
		return nil, errno(err)
	}
	n.fs.names.add(&change{keys: []entry{{n.ino, name}}, waits: []uint64{n.ino}, undo: func() error {
		return unix.Unlinkat(n.fd(), name, 0)
	}})
	return inode, 0
}

func (n *node) Unlink(_ context.Context, name string) syscall.Errno {
	n.fs.names.Lock()
	defer n.fs.names.Unlock()
	var st unix.Stat_t
	if err := unix.Fstatat(n.fd(), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return errno(err)
	}
	if last := n.fs.names.last(entry{n.ino, name}); last != nil && last.made == st.Ino && st.Nlink == 1 {
		if err := unix.Unlinkat(n.fd(), name, 0); err != nil {
			return errno(err)
		}
		n.fs.names.drop(last) // nothing durable has seen it
		n.fs.contents.of(st.Ino).settle()
		return 0
	}
	return errno(n.bury(name, st.Ino, false))
}

func (n *node) Rmdir(_ context.Context, name string) syscall.Errno {
	n.fs.names.Lock()
	defer n.fs.names.Unlock()
	dir, err := openPath(n.fd(), name)
	if err != nil {
		return errno(err)
	}
	if left, err := os.ReadDir("/proc/self/fd/" + strconv.Itoa(int(dir.Fd()))); err != nil {
		return errno(err)
	} else if len(left) > 0 {
		return syscall.ENOTEMPTY
	}
	return errno(n.bury(name, inodeOf(dir), true))
}

// bury removes a name so that it can come back.
func (n *node) bury(name string, ino uint64, isDir bool) error {
	grave, err := n.fs.names.bury(n.fd(), name, ino)
	if err != nil {
		return err
	}
	n.fs.names.add(&change{
		keys: []entry{{n.ino, name}}, waits: []uint64{n.ino}, grave: grave, undo: func() error { return grave.rise(n.fd(), name) },
		lost: n.fs.lost(ino, isDir),
	})
	return nil
}

// lost is what follows when the last name of something has been removed durably.
func (f *FS) lost(ino uint64, isDir bool) func() {
	return func() {
		if isDir {
			f.names.settleDir(ino)
		} else if f.names.buried[ino] == 0 {
			f.contents.of(ino).settleUnnamed()
		}
	}
}

func (n *node) Rename(_ context.Context, name string, newParent gofs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	n.fs.names.Lock()
	defer n.fs.names.Unlock()
	to := newParent.(*node)
	if flags&^unix.RENAME_NOREPLACE != 0 {
		return syscall.EINVAL
	}
	ch := &change{keys: []entry{{n.ino, name}, {to.ino, newName}}, waits: []uint64{n.ino, to.ino}}
	replaced, err := openPath(to.fd(), newName)
	switch {
	case err == unix.ENOENT:
	case err != nil:
		return errno(err)
	case flags&unix.RENAME_NOREPLACE != 0:
		return syscall.EEXIST
	default:
		if err := n.replace(to, newName, replaced, ch); err != nil {
			return errno(err)
		}
	}
	if err := unix.Renameat(n.fd(), name, to.fd(), newName); err != nil {
		if ch.grave != nil {
			ch.grave.rise(to.fd(), newName)
		}
		return errno(err)
	}
	ch.undo = func() error {
		if err := unix.Renameat(to.fd(), newName, n.fd(), name); err != nil || ch.grave == nil {
			return err
		}
		return ch.grave.rise(to.fd(), newName)
	}
	n.fs.names.add(ch)
	return 0
}

// replace buries what bears the name that another is to get.
func (n *node) replace(to *node, name string, replaced *os.File, ch *change) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(replaced.Fd()), &st); err != nil {
		return err
	}
	isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
	if isDir {
		left, err := os.ReadDir("/proc/self/fd/" + strconv.Itoa(int(replaced.Fd())))
		if err != nil {
			return err
		}
		if len(left) > 0 {
			return syscall.ENOTEMPTY
		}
	}
	grave, err := n.fs.names.bury(to.fd(), name, st.Ino)
	if err != nil {
		return err
	}
	ch.grave, ch.lost = grave, n.fs.lost(st.Ino, isDir)
	return nil
}
