package kms

import (
	"context"
	"errors"
	"maps"
	"time"
)

// KeyNames returns the names of all keys that are not deleted, in order.
func (s *Service) KeyNames(ctx context.Context, p Principal) ([]KeyName, error) {
	if err := s.allow(p, OpGetKeys, AuditGetKeys, ""); err != nil {
		return nil, err
	}
	keys, err := s.Store.Keys(ctx)
	names := []KeyName{}
	for _, k := range keys {
		if !k.Deleted() {
			names = append(names, k.Name)
		}
	}
	return names, s.note(p, AuditGetKeys, "", "", err)
}

// Metadata describes a key; ErrKeyNotFound if there is none, or it is deleted.
func (s *Service) Metadata(ctx context.Context, p Principal, name KeyName) (Metadata, error) {
	if err := s.allow(p, OpGetMetadata, AuditGetMetadata, name); err != nil {
		return Metadata{}, err
	}
	k, err := s.readable(ctx, p, name)
	return describe(k), s.note(p, AuditGetMetadata, name, "", err)
}

// KeysMetadata describes keys, in the order of names; nil for one that is absent or deleted. One that p may not read
// denies them all.
func (s *Service) KeysMetadata(ctx context.Context, p Principal, names []KeyName) ([]*Metadata, error) {
	if err := s.allow(p, OpGetMetadata, AuditGetKeysMetadata, ""); err != nil {
		return nil, err
	}
	all := make([]*Metadata, len(names))
	for i, name := range names {
		k, err := s.readable(ctx, p, name)
		if errors.Is(err, ErrKeyNotFound) {
			continue
		}
		if err != nil {
			return nil, s.note(p, AuditGetKeysMetadata, "", "", err)
		}
		m := describe(k)
		all[i] = &m
	}
	return all, s.note(p, AuditGetKeysMetadata, "", "", nil)
}

// CurrentKey returns the newest version; ErrKeyNotFound.
func (s *Service) CurrentKey(ctx context.Context, p Principal, name KeyName) (KeyVersion, error) {
	if err := s.allow(p, OpGet, AuditGetCurrentKey, name); err != nil {
		return KeyVersion{}, err
	}
	var kv KeyVersion
	k, err := s.readable(ctx, p, name)
	if err == nil {
		var ref VersionRef
		var m Material
		ref, m, err = s.current(ctx, k)
		kv = KeyVersion{Key: ref.Key, Name: ref.Name, Material: m}
	}
	return kv, s.note(p, AuditGetCurrentKey, name, "", err)
}

// KeyVersion returns a version by its name; ErrVersionNotFound.
func (s *Service) KeyVersion(ctx context.Context, p Principal, name VersionName) (KeyVersion, error) {
	if err := s.allow(p, OpGet, AuditGetKeyVersion, ""); err != nil {
		return KeyVersion{}, err
	}
	v, open, err := s.version(ctx, name)
	if err != nil {
		return KeyVersion{}, s.note(p, AuditGetKeyVersion, "", "", err)
	}
	if err := s.allowKey(p, KeyRead, v.key); err != nil {
		return KeyVersion{}, err
	}
	m, err := open()
	return KeyVersion{Key: v.key.Name, Name: v.ref.Name, Material: m}, s.note(p, AuditGetKeyVersion, v.key.Name, "", err)
}

// KeyVersions returns all versions, oldest first; ErrKeyNotFound.
func (s *Service) KeyVersions(ctx context.Context, p Principal, name KeyName) ([]KeyVersion, error) {
	if err := s.allow(p, OpGet, AuditGetKeyVersions, name); err != nil {
		return nil, err
	}
	k, err := s.readable(ctx, p, name)
	if err != nil {
		return nil, s.note(p, AuditGetKeyVersions, name, "", err)
	}
	sealed, err := s.Store.Versions(ctx, k.ID)
	all := make([]KeyVersion, 0, len(sealed))
	for _, v := range sealed {
		m, e := s.open(v)
		if e != nil {
			err = e
			break
		}
		all = append(all, KeyVersion{Key: v.Key, Name: v.Name, Material: m})
	}
	if err != nil {
		all = nil
	}
	return all, s.note(p, AuditGetKeyVersions, name, "", err)
}

// recently is how old a change may be that Recent tells of.
const recently = time.Minute

// Recent returns the change of that kind that the same caller made to the key within the last minute, as this host's
// Store shows it. A passive whose active is gone tells the caller with it that what is asked for was done.
func (s *Service) Recent(ctx context.Context, p Principal, kind ChangeKind, name KeyName) (Change, bool) {
	k, err := s.stored(ctx, name)
	if err != nil {
		return Change{}, false
	}
	c := k.Last
	if kind == Created && !k.Deleted() {
		c = Change{KeyID: k.ID, Kind: Created, At: k.Created, By: k.CreatedBy}
	}
	return c, c.Kind == kind && c.By == p.By() && s.Now().Sub(c.At) <= recently
}

// readable returns the key if it is live and p may read it.
func (s *Service) readable(ctx context.Context, p Principal, name KeyName) (Key, error) {
	k, err := s.liveKey(ctx, name)
	if err != nil {
		return Key{}, err
	}
	if err := s.allowKey(p, KeyRead, k); err != nil {
		return Key{}, err
	}
	return k, nil
}

// describe returns the metadata of k as the caller's own.
func describe(k Key) Metadata {
	m := k.Metadata
	m.Attributes = maps.Clone(m.Attributes)
	return m
}
