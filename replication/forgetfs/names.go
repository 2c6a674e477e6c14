package forgetfs

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// names are the changes of names that are not durable yet. Who changes or follows a name holds the lock.
type names struct {
	sync.RWMutex
	graves  string
	count   int
	pending map[*change]bool
	byEntry map[entry][]*change         // in order
	byDir   map[uint64]map[*change]bool // what waits for the directory
	news    map[uint64]*change          // by the inode that was made
	buried  map[uint64]uint32           // how many graves the inode lies in
}

// entry is a name in a directory.
type entry struct {
	dir  uint64
	name string
}

// change is one change of names.
type change struct {
	number int
	keys   []entry
	waits  []uint64 // the directories that have to be synced yet
	made   uint64   // the inode that came to be, if one did
	grave  *grave   // where that lies which was removed, if something was
	lost   func()   // called when the grave is empty for good
	undo   func() error
}

// grave is a place outside the tree for something that lost its name there.
type grave struct {
	names *names
	path  string
	ino   uint64
}

func newNames(graves string) *names {
	return &names{
		graves: graves, pending: map[*change]bool{}, byEntry: map[entry][]*change{}, byDir: map[uint64]map[*change]bool{},
		news: map[uint64]*change{}, buried: map[uint64]uint32{},
	}
}

func (s *names) add(ch *change) {
	s.count++
	ch.number = s.count
	s.pending[ch] = true
	for _, key := range ch.keys {
		s.byEntry[key] = append(s.byEntry[key], ch)
	}
	for _, dir := range ch.waits {
		if s.byDir[dir] == nil {
			s.byDir[dir] = map[*change]bool{}
		}
		s.byDir[dir][ch] = true
	}
	if ch.made != 0 {
		s.news[ch.made] = ch
	}
}

// drop forgets that there was a change.
func (s *names) drop(ch *change) {
	delete(s.pending, ch)
	for _, key := range ch.keys {
		rest := slices.DeleteFunc(s.byEntry[key], func(other *change) bool { return other == ch })
		if s.byEntry[key] = rest; len(rest) == 0 {
			delete(s.byEntry, key)
		}
		s.delete(key.dir, ch)
	}
	if ch.made != 0 && s.news[ch.made] == ch {
		delete(s.news, ch.made)
	}
}

func (s *names) delete(dir uint64, ch *change) {
	delete(s.byDir[dir], ch)
	if len(s.byDir[dir]) == 0 {
		delete(s.byDir, dir)
	}
}

// last is the newest change of an entry that is not durable.
func (s *names) last(key entry) *change {
	if changes := s.byEntry[key]; len(changes) > 0 {
		return changes[len(changes)-1]
	}
	return nil
}

// commit makes a change durable, and what it rests on: earlier ones of the same entries, and that its directories exist.
func (s *names) commit(ch *change) {
	if !s.pending[ch] {
		return
	}
	keys := slices.Clone(ch.keys)
	var earlier []*change
	for _, key := range keys {
		for _, other := range s.byEntry[key] {
			if other.number < ch.number {
				earlier = append(earlier, other)
			}
		}
	}
	s.drop(ch)
	for _, other := range earlier {
		s.commit(other)
	}
	for _, key := range keys {
		if made := s.news[key.dir]; made != nil {
			s.commit(made)
		}
	}
	if ch.grave != nil {
		ch.grave.empty()
		ch.lost()
	}
}

// syncDir is an fsync of the directory.
func (s *names) syncDir(dir uint64) {
	s.Lock()
	defer s.Unlock()
	if made := s.news[dir]; made != nil {
		s.commit(made)
	}
	s.settleDir(dir)
}

func (s *names) settleDir(dir uint64) {
	for _, ch := range inOrder(s.byDir[dir]) {
		ch.waits = slices.DeleteFunc(ch.waits, func(d uint64) bool { return d == dir })
		s.delete(dir, ch)
		if len(ch.waits) == 0 {
			s.commit(ch)
		}
	}
}

// syncNew is an fsync of a file.
func (s *names) syncNew(ino uint64) {
	s.RLock()
	made := s.news[ino]
	s.RUnlock()
	if made == nil {
		return
	}
	s.Lock()
	defer s.Unlock()
	s.commit(made)
}

// undo takes back every change that is not durable, the newest first.
func (s *names) undo() error {
	s.Lock()
	defer s.Unlock()
	var errs []error
	changes := inOrder(s.pending)
	slices.Reverse(changes)
	for _, ch := range changes {
		if err := ch.undo(); err != nil {
			errs = append(errs, fmt.Errorf("the change of %q: %w", ch.keys[0].name, err))
		}
		s.drop(ch)
	}
	return errors.Join(errs...)
}

func inOrder(changes map[*change]bool) []*change {
	return slices.SortedFunc(maps.Keys(changes), func(a, b *change) int { return cmp.Compare(a.number, b.number) })
}

// bury takes a name from the tree.
func (s *names) bury(dir int, name string, ino uint64) (*grave, error) {
	s.count++
	g := &grave{s, filepath.Join(s.graves, strconv.Itoa(s.count)), ino}
	if err := unix.Renameat(dir, name, unix.AT_FDCWD, g.path); err != nil {
		return nil, err
	}
	s.buried[ino]++
	return g, nil
}

// rise gives the name back.
func (g *grave) rise(dir int, name string) error {
	g.leave()
	return unix.Renameat(unix.AT_FDCWD, g.path, dir, name)
}

func (g *grave) empty() {
	g.leave()
	os.RemoveAll(g.path)
}

func (g *grave) leave() {
	if g.names.buried[g.ino]--; g.names.buried[g.ino] == 0 {
		delete(g.names.buried, g.ino)
	}
}
