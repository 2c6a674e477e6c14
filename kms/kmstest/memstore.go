package kmstest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"keytrustee/kms"
)

// MemStore is a kms.Store in memory. It is confirmed at once, unless a hook says otherwise.
type MemStore struct {
	mu       sync.Mutex
	hook     func(kms.Change) Fault
	notReady error
	keys     map[kms.ID]*memKey
	names    map[kms.KeyName]kms.ID // of keys that are not purged
	requests map[string]kms.Change
	pending  map[kms.KeyName]func() // changes made on one host only
	closed   chan struct{}
	reads    int
}

type memKey struct {
	key      kms.Key
	versions []kms.SealedVersion
}

// Fault says how an Apply fails; the zero Fault is none.
type Fault struct {
	Before error           // fail with it, and change nothing
	Hold   <-chan struct{} // the change is made on one host only, and Apply waits, until it is closed
	After  error           // change it, then fail with it all the same
	Lost   bool            // the change is made on one host only, and stays so until Confirm; Apply fails as unknown
}

// NewMemStore returns an empty Store.
func NewMemStore() *MemStore {
	return &MemStore{keys: map[kms.ID]*memKey{}, names: map[kms.KeyName]kms.ID{}, requests: map[string]kms.Change{},
		pending: map[kms.KeyName]func(){}, closed: make(chan struct{})}
}

// OnApply asks hook before each change; nil ends it.
func (m *MemStore) OnApply(hook func(kms.Change) Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hook = hook
}

// SetNotReady makes every read fail with err; nil ends it.
func (m *MemStore) SetNotReady(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.notReady = err
}

// Confirm confirms what is on one host only.
func (m *MemStore) Confirm() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, commit := range m.pending {
		commit()
		delete(m.pending, name)
	}
}

// Reads returns how often the Store was read.
func (m *MemStore) Reads() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.reads
}

// Close ends every Apply that is held; its outcome is unknown.
func (m *MemStore) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-m.closed:
	default:
		close(m.closed)
	}
}

// Apply is kms.Store's.
func (m *MemStore) Apply(ctx context.Context, c kms.Change, key *kms.Key, version *kms.SealedVersion) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("applying: %w", err)
	}
	var f Fault
	if m.hook != nil {
		f = m.hook(c)
	}
	if f.Before != nil {
		return f.Before
	}
	name, err := m.checkLocked(c, key)
	if err != nil {
		return err
	}
	commit := m.commit(c, key, version)
	if f.Lost {
		m.pending[name] = commit
		return kms.ErrOutcomeUnknown
	}
	if f.Hold != nil {
		m.pending[name] = commit
		m.mu.Unlock()
		held := true
		select {
		case <-f.Hold:
		case <-m.closed:
			held = false
		}
		m.mu.Lock()
		if !held {
			return kms.ErrOutcomeUnknown
		}
		delete(m.pending, name)
	}
	commit()
	return f.After
}

// checkLocked returns the name of the key if the change may be made.
func (m *MemStore) checkLocked(c kms.Change, key *kms.Key) (kms.KeyName, error) {
	name := kms.KeyName("")
	k := m.keys[c.KeyID]
	if c.Kind == kms.Created {
		name = key.Name
	} else if k != nil {
		name = k.key.Name
	}
	if m.pending[name] != nil {
		return "", &kms.ReadOnlyError{Reason: kms.ReasonBusy, Host: "kt01", Remedy: kms.ElsewherePeer,
			Sentence: "refused: a change of key " + name.Quoted() + " is not confirmed yet; try again"}
	}
	if _, used := m.requests[c.RequestID]; used && c.RequestID != "" {
		return "", kms.ErrConflict
	}
	if c.Kind == kms.Created {
		if id, taken := m.names[name]; taken {
			there := copyKey(m.keys[id].key)
			return "", &kms.ExistsError{Name: name, Key: &there}
		}
		return name, nil
	}
	if k == nil || k.key.Last.Kind == kms.Purged || c.Seq != k.key.Last.Seq+1 {
		return "", kms.ErrConflict
	}
	return name, nil
}

// commit returns what makes the change.
func (m *MemStore) commit(c kms.Change, key *kms.Key, version *kms.SealedVersion) func() {
	var k memKey
	if key != nil {
		k.key = copyKey(*key)
	}
	var v kms.SealedVersion
	if version != nil {
		v = copyVersion(*version)
	}
	return func() {
		if c.Kind == kms.Created {
			m.keys[c.KeyID], m.names[k.key.Name] = &k, c.KeyID
		}
		there := m.keys[c.KeyID]
		there.key.Last = c
		if version != nil {
			there.versions = append(there.versions, v)
			there.key.Versions = len(there.versions)
		}
		if c.Kind == kms.Purged {
			delete(m.names, there.key.Name)
			there.versions = nil
		}
		if c.RequestID != "" {
			m.requests[c.RequestID] = c
		}
	}
}

// read locks the Store for a reading; an error says that it is not ready, and then it is not locked.
func (m *MemStore) read() error {
	m.mu.Lock()
	m.reads++
	if m.notReady != nil {
		defer m.mu.Unlock()
		return m.notReady
	}
	return nil
}

// Key is kms.Store's.
func (m *MemStore) Key(_ context.Context, name kms.KeyName) (kms.Key, error) {
	if err := m.read(); err != nil {
		return kms.Key{}, err
	}
	defer m.mu.Unlock()
	id, ok := m.names[name]
	if !ok {
		return kms.Key{}, kms.ErrKeyNotFound
	}
	return copyKey(m.keys[id].key), nil
}

// Keys is kms.Store's.
func (m *MemStore) Keys(context.Context) ([]kms.Key, error) {
	if err := m.read(); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	var all []kms.Key
	for _, id := range m.names {
		all = append(all, copyKey(m.keys[id].key))
	}
	slices.SortFunc(all, func(a, b kms.Key) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

// Version is kms.Store's.
func (m *MemStore) Version(_ context.Context, name kms.VersionName) (kms.SealedVersion, kms.Key, error) {
	if err := m.read(); err != nil {
		return kms.SealedVersion{}, kms.Key{}, err
	}
	defer m.mu.Unlock()
	for _, id := range m.names {
		for _, v := range m.keys[id].versions {
			if v.Name == name {
				return copyVersion(v), copyKey(m.keys[id].key), nil
			}
		}
	}
	return kms.SealedVersion{}, kms.Key{}, kms.ErrVersionNotFound
}

// Versions is kms.Store's.
func (m *MemStore) Versions(_ context.Context, key kms.ID) ([]kms.SealedVersion, error) {
	if err := m.read(); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	k := m.keys[key]
	if k == nil || k.key.Last.Kind == kms.Purged {
		return nil, kms.ErrKeyNotFound
	}
	all := make([]kms.SealedVersion, len(k.versions))
	for i, v := range k.versions {
		all[i] = copyVersion(v)
	}
	return all, nil
}

// Current is kms.Store's.
func (m *MemStore) Current(ctx context.Context, key kms.ID) (kms.SealedVersion, error) {
	all, err := m.Versions(ctx, key)
	if err != nil {
		return kms.SealedVersion{}, err
	}
	return all[len(all)-1], nil
}

// ByRequest is kms.Store's.
func (m *MemStore) ByRequest(_ context.Context, requestID string) (kms.Change, kms.Key, error) {
	if err := m.read(); err != nil {
		return kms.Change{}, kms.Key{}, err
	}
	defer m.mu.Unlock()
	c, ok := m.requests[requestID]
	if !ok {
		return kms.Change{}, kms.Key{}, kms.ErrKeyNotFound
	}
	return c, copyKey(m.keys[c.KeyID].key), nil
}

func copyKey(k kms.Key) kms.Key {
	k.Attributes = maps.Clone(k.Attributes)
	if k.Attributes == nil {
		k.Attributes = map[string]string{}
	}
	if k.Description != nil {
		d := *k.Description
		k.Description = &d
	}
	return k
}

func copyVersion(v kms.SealedVersion) kms.SealedVersion {
	v.Sealed, v.Check = slices.Clone(v.Sealed), slices.Clone(v.Check)
	return v
}
