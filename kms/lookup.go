package kms

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// key returns the key of that name as the Store shows it, also a deleted one; ErrKeyNotFound.
func (s *Service) key(ctx context.Context, name KeyName) (Key, error) {
	if k, ok := recall(s.cache, func() (Key, bool) { k, ok := s.cache.keys[name]; return k, ok }); ok {
		return k, nil
	}
	generation := s.cache.begin()
	k, err := s.stored(ctx, name)
	if err != nil {
		return Key{}, named(err, name.Quoted())
	}
	s.cache.remember(generation, func() { s.cache.keys[name] = k })
	return k, nil
}

// stored asks the Store. A name that it can not hold is not there.
func (s *Service) stored(ctx context.Context, name KeyName) (Key, error) {
	if !storable(string(name)) {
		return Key{}, ErrKeyNotFound
	}
	return s.Store.Key(ctx, name)
}

// storable reports whether a text may be given to a Store.
func storable(text string) bool { return utf8.ValidString(text) && !strings.ContainsRune(text, 0) }

// liveKey is key, for which a deleted one is not there.
func (s *Service) liveKey(ctx context.Context, name KeyName) (Key, error) {
	k, err := s.key(ctx, name)
	if err == nil && k.Deleted() {
		return Key{}, named(ErrKeyNotFound, name.Quoted())
	}
	return k, err
}

// current returns the newest version of k, opened.
func (s *Service) current(ctx context.Context, k Key) (VersionRef, Material, error) {
	ref, ok := recall(s.cache, func() (VersionRef, bool) { v, ok := s.cache.current[k.ID]; return v, ok })
	if ok {
		if m, ok := s.cache.material(ref.ID); ok {
			return ref, m, nil
		}
	}
	generation := s.cache.begin()
	v, err := s.Store.Current(ctx, k.ID)
	if err != nil {
		return VersionRef{}, Material{}, named(err, k.Name.Quoted())
	}
	m, err := s.open(v)
	if err != nil {
		return VersionRef{}, Material{}, err
	}
	s.cache.remember(generation, func() { s.cache.current[k.ID] = v.VersionRef })
	return v.VersionRef, m, nil
}

// version returns the version of that name, with its key and a function that opens it. ErrVersionNotFound also when the key is
// deleted.
func (s *Service) version(ctx context.Context, name VersionName) (namedVersion, func() (Material, error), error) {
	n, ok := recall(s.cache, func() (namedVersion, bool) { v, ok := s.cache.versions[name]; return v, ok })
	if ok {
		if m, ok := s.cache.material(n.ref.ID); ok {
			return n, func() (Material, error) { return m, nil }, nil
		}
	}
	if !storable(string(name)) {
		return namedVersion{}, nil, named(ErrVersionNotFound, name.Quoted())
	}
	generation := s.cache.begin()
	v, k, err := s.Store.Version(ctx, name)
	if err == nil && k.Deleted() {
		err = ErrVersionNotFound
	}
	if err != nil {
		return namedVersion{}, nil, named(err, name.Quoted())
	}
	n = namedVersion{v.VersionRef, k}
	s.cache.remember(generation, func() { s.cache.versions[name] = n })
	return n, func() (Material, error) { return s.open(v) }, nil
}

// open returns the material of v.
func (s *Service) open(v SealedVersion) (Material, error) {
	if m, ok := s.cache.material(v.ID); ok {
		return m, nil
	}
	m, err := s.Sealer.Open(v)
	if err != nil {
		return Material{}, fmt.Errorf("opening version %s: %w", v.Name.Quoted(), err)
	}
	s.cache.rememberMaterial(v.ID, v.KeyID, m)
	return m, nil
}

// named puts the name before an error that a Store returned without one.
func named(err error, name string) error {
	if _, ok := errors.AsType[*ReadOnlyError](err); ok {
		return err
	}
	return fmt.Errorf("%s: %w", name, err)
}
