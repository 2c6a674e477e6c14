package forgetfs

import (
	"errors"
	"fmt"
	"math"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// pageSize is the unit in which overwritten data is kept.
const pageSize = 4096

// contents are the files that were written.
type contents struct {
	mu    sync.Mutex
	files map[uint64]*content
}

// content is the data of one file, as it has to be again if nobody syncs it.
type content struct {
	mu      sync.Mutex
	writers int      // handles that may write
	file    *os.File // the file itself, while it has writers or is dirty
	dirty   bool     // something is not durable, and the rest is what was before:
	size    int64
	pages   map[int64][]byte // by number; the last may be short
}

func newContents() *contents { return &contents{files: map[uint64]*content{}} }

func (s *contents) of(ino uint64) *content {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.files[ino]
	if c == nil {
		c = &content{}
		s.files[ino] = c
	}
	return c
}

// opened and closed count the handles that may write.
func (c *content) opened() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writers++
}

func (c *content) closed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writers--
	c.closeIdle()
}

func (c *content) closeIdle() {
	if c.writers == 0 && !c.dirty && c.file != nil {
		c.file.Close()
		c.file = nil
	}
}

// write writes data, and keeps what was there unless that is to be durable at once.
func (c *content) write(n *node, data []byte, offset int64, durable bool) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.change(n, offset, int64(len(data))); err != nil {
		return 0, err
	}
	written, err := c.file.WriteAt(data, offset)
	if durable && err == nil {
		c.settleLocked()
	}
	return written, err
}

func (c *content) truncate(n *node, size int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.change(n, size, math.MaxInt64-size); err != nil {
		return err
	}
	err := c.file.Truncate(size)
	if n.lasting && err == nil {
		c.settleLocked()
	}
	return err
}

func (c *content) allocate(n *node, offset, length int64, mode uint32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.change(n, offset, length); err != nil {
		return err
	}
	return unix.Fallocate(int(c.file.Fd()), mode, offset, length)
}

// change keeps what is durable in that range. The file is open when it returns nil.
func (c *content) change(n *node, offset, length int64) (err error) {
	if c.file == nil {
		if c.file, err = os.OpenFile(n.path(), os.O_RDWR, 0); err != nil {
			c.file = nil
			return err
		}
	}
	if !c.dirty {
		info, err := c.file.Stat()
		if err != nil {
			return err
		}
		c.dirty, c.size, c.pages = true, info.Size(), map[int64][]byte{}
	}
	for page := offset / pageSize; page*pageSize < min(offset+length, c.size); page++ {
		if c.pages[page] != nil {
			continue
		}
		old := make([]byte, min(pageSize, c.size-page*pageSize))
		if _, err := c.file.ReadAt(old, page*pageSize); err != nil {
			return err
		}
		c.pages[page] = old
	}
	return nil
}

// settle makes what is there durable.
func (c *content) settle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settleLocked()
}

func (c *content) settleLocked() {
	c.dirty, c.pages = false, nil
	c.closeIdle()
}

// settleUnnamed is settle if the file has no name any more.
func (c *content) settleUnnamed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	var st unix.Stat_t
	if c.file != nil && unix.Fstat(int(c.file.Fd()), &st) == nil && st.Nlink == 0 {
		c.settleLocked()
	}
}

func (s *contents) settleAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.files {
		c.settle()
	}
}

// undo gives every file back the data that is durable.
func (s *contents) undo() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, c := range s.files {
		if err := c.undo(); err != nil {
			errs = append(errs, fmt.Errorf("data: %w", err))
		}
	}
	return errors.Join(errs...)
}

func (c *content) undo() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.settleLocked()
	if !c.dirty {
		return nil
	}
	if err := c.file.Truncate(c.size); err != nil {
		return err
	}
	for page, old := range c.pages {
		if _, err := c.file.WriteAt(old, page*pageSize); err != nil {
			return err
		}
	}
	return nil
}
