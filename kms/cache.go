package kms

import (
	"container/list"
	"maps"
	"sync"
)

// cache remembers two kinds of things. What a version's ID names never changes: opened material is kept under it, the
// least recently used given up first. What a name means does change: all such entries belong to one generation, and go
// with it. An entry read from the Store before a generation ended is not taken into the next.
type cache struct {
	mu         sync.Mutex // for map operations only, never while the Store or the Sealer works
	generation uint64
	keys       map[KeyName]Key
	current    map[ID]VersionRef // key to its newest version
	versions   map[VersionName]namedVersion

	max    int
	opened map[ID]*list.Element // of openedVersion
	recent *list.List           // most recently used first
}

type namedVersion struct {
	ref VersionRef
	key Key
}

type openedVersion struct {
	id, key  ID
	material Material
}

func newCache(max int) *cache {
	c := &cache{max: max, opened: map[ID]*list.Element{}, recent: list.New()}
	c.invalidate()
	return c
}

// invalidate begins a new generation.
func (c *cache) invalidate() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	c.keys, c.current, c.versions = map[KeyName]Key{}, map[ID]VersionRef{}, map[VersionName]namedVersion{}
}

// begin is called before the Store is read for an entry, and its result given to remember.
func (c *cache) begin() (generation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.generation
}

// recall returns what look finds.
func recall[T any](c *cache, look func() (T, bool)) (T, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return look()
}

// remember calls put, unless the generation has ended in which its entry was read.
func (c *cache) remember(generation uint64, put func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.generation != generation {
		return
	}
	if len(c.keys) >= c.max {
		clear(c.keys)
	}
	if len(c.current) >= c.max {
		clear(c.current)
	}
	if len(c.versions) >= c.max {
		clear(c.versions)
	}
	put()
}

func (c *cache) material(id ID) (Material, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.opened[id]
	if !ok {
		return Material{}, false
	}
	c.recent.MoveToFront(e)
	return e.Value.(openedVersion).material, true
}

func (c *cache) rememberMaterial(id, key ID, m Material) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.opened[id]; ok {
		return
	}
	c.opened[id] = c.recent.PushFront(openedVersion{id, key, m})
	if c.recent.Len() > c.max {
		last := c.recent.Back()
		delete(c.opened, c.recent.Remove(last).(openedVersion).id)
	}
}

// changed drops what a change of this host's own made untrue; entries that are being read end with their generation.
func (c *cache) changed(name KeyName, change Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	delete(c.keys, name)
	delete(c.current, change.KeyID)
	maps.DeleteFunc(c.versions, func(_ VersionName, n namedVersion) bool { return n.ref.KeyID == change.KeyID })
	if change.Kind != Deleted && change.Kind != Purged {
		return
	}
	for id, e := range c.opened {
		if e.Value.(openedVersion).key == change.KeyID {
			c.recent.Remove(e)
			delete(c.opened, id)
		}
	}
}

// forget drops what the name means.
func (c *cache) forget(name KeyName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.current, c.keys[name].ID)
	delete(c.keys, name)
}
