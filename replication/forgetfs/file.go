package forgetfs

import (
	"context"
	"os"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// handle is an open file.
type handle struct {
	node    *node
	file    *os.File
	content *content // nil if it can not write
	durable bool     // each write is
}

func (n *node) Open(_ context.Context, flags uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	h, err := n.open(flags)
	if err != nil {
		return nil, 0, errno(err)
	}
	return h, fuse.FOPEN_DIRECT_IO, 0
}

func (n *node) open(flags uint32) (*handle, error) {
	file, err := os.OpenFile(n.path(), int(flags)&unix.O_ACCMODE, 0)
	if err != nil {
		return nil, err
	}
	h := &handle{node: n, file: file, durable: n.lasting || flags&unix.O_DSYNC != 0} // O_SYNC contains O_DSYNC
	if flags&unix.O_ACCMODE != unix.O_RDONLY {
		h.content = n.content()
		h.content.opened()
	}
	if flags&unix.O_TRUNC != 0 {
		if err := n.content().truncate(n, 0); err != nil {
			h.Release(context.Background())
			return nil, err
		}
	}
	return h, nil
}

func (h *handle) Read(_ context.Context, into []byte, offset int64) (fuse.ReadResult, syscall.Errno) {
	return fuse.ReadResultFd(h.file.Fd(), offset, len(into)), 0
}

func (h *handle) Write(_ context.Context, data []byte, offset int64) (uint32, syscall.Errno) {
	if h.content == nil {
		return 0, syscall.EBADF
	}
	written, err := h.content.write(h.node, data, offset, h.durable)
	if err == nil && h.durable {
		h.node.fs.names.syncNew(h.node.ino)
	}
	if told := h.node.fs.options.Written; told != nil {
		told(h.node.lies, offset, data[:written])
	}
	return uint32(written), errno(err)
}

func (h *handle) Allocate(_ context.Context, offset, length uint64, mode uint32) syscall.Errno {
	if h.content == nil {
		return syscall.EBADF
	}
	return errno(h.content.allocate(h.node, int64(offset), int64(length), mode))
}

func (h *handle) Release(context.Context) syscall.Errno {
	if h.content != nil {
		h.content.closed()
	}
	return errno(h.file.Close())
}
