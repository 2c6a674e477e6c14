package kms

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
)

// RollNewVersion makes a new version of the key; absent material is generated. ErrKeyNotFound, also for a deleted key.
// Otherwise as CreateKey.
func (s *Service) RollNewVersion(ctx context.Context, c Call, name KeyName, given Material) (KeyVersion, *Hand, error) {
	w := &write{
		Call: c, kind: Rolled, op: AuditRollNewVersion, name: name,
		extra: fmt.Sprintf("UserProvidedMaterial:%t", given.Present()),
	}
	w.allow = func(ctx context.Context) error {
		if err := s.allowMaking(w, OpRollover, given); err != nil {
			return err
		}
		return s.allowManagement(ctx, w)
	}
	w.change = func(ctx context.Context) (made, error) {
		k, err := s.stored(ctx, name)
		if err == nil && k.Deleted() {
			err = ErrKeyNotFound
		}
		if err != nil {
			return made{}, named(err, name.Quoted())
		}
		if err := validMaterial(given, k.BitLength); err != nil {
			return made{}, err
		}
		change := s.newChange(w, k.ID, k.Last.Seq+1)
		v, m, err := s.newVersion(k, k.Versions, &change, given)
		if err != nil {
			return made{}, err
		}
		return m, s.Store.Apply(ctx, change, nil, &v)
	}
	w.same = func(_ Key, m Material) bool { return sameMaterial(given, m) }

	m, h, err := s.deliver(ctx, w)
	if err != nil {
		return KeyVersion{}, nil, err
	}
	return s.versionMade(c.Principal, name, m), h, nil
}

// DeleteKey deletes the key softly: it can not be used, and can be undeleted. ErrKeyNotFound, also if it is deleted.
// With any error but ErrOutcomeUnknown nothing was changed.
func (s *Service) DeleteKey(ctx context.Context, c Call, name KeyName) (*Hand, error) {
	return s.step(ctx, c, name, Deleted, OpDelete, AuditDeleteKey, func(k Key) error {
		if k.Deleted() {
			return named(ErrKeyNotFound, name.Quoted())
		}
		return nil
	})
}

// UndeleteKey brings back a deleted key with all its versions. The call wants a request's id.
func (s *Service) UndeleteKey(ctx context.Context, c Call, name KeyName) (*Hand, error) {
	return s.step(ctx, c, name, Undeleted, OpUndelete, AuditUndeleteKey, func(k Key) error {
		if !k.Deleted() {
			return &InvalidError{Field: "name", Reason: "names a key that is not deleted; there is nothing to undelete"}
		}
		return nil
	})
}

// PurgeKey erases a deleted key for good; its name can be used again. The call wants a request's id.
func (s *Service) PurgeKey(ctx context.Context, c Call, name KeyName) (*Hand, error) {
	return s.step(ctx, c, name, Purged, OpPurge, AuditPurgeKey, func(k Key) error {
		if !k.Deleted() {
			return &InvalidError{Field: "name", Reason: "names a key that is not deleted; delete it first"}
		}
		return nil
	})
}

// step makes a change that has no version. may says whether the key is in the state for it.
func (s *Service) step(ctx context.Context, c Call, name KeyName, kind ChangeKind, op Op, as AuditOp, may func(Key) error) (*Hand, error) {
	if c.RequestID == "" && (kind == Undeleted || kind == Purged) {
		return nil, &InvalidError{Field: requestIDField, Reason: "is missing; send a new UUID, and the same one to repeat the request"}
	}
	w := &write{Call: c, kind: kind, op: as, name: name}
	w.allow = func(ctx context.Context) error {
		if err := s.allow(c.Principal, op, as, name); err != nil {
			return err
		}
		return s.allowManagement(ctx, w)
	}
	w.change = func(ctx context.Context) (made, error) {
		k, err := s.stored(ctx, name)
		if err != nil {
			return made{}, named(err, name.Quoted())
		}
		if err := may(k); err != nil {
			return made{}, err
		}
		change := s.newChange(w, k.ID, k.Last.Seq+1)
		return made{change: change}, s.Store.Apply(ctx, change, nil, nil)
	}
	_, h, err := s.deliver(ctx, w)
	return h, err
}

// InvalidateCache forgets what it remembers of the key. It reads neither Store nor disk, so that it answers in every
// state: a stock client that gets no answer rolls the key once more. Rules of the key itself are asked if it is known.
func (s *Service) InvalidateCache(ctx context.Context, c Call, name KeyName) error {
	p := c.Principal
	if !s.Policy.Allows(p, OpDelete) {
		if err := s.allow(p, OpRollover, AuditInvalidateCache, name); err != nil {
			return err
		}
	}
	k, known := recall(s.cache, func() (Key, bool) { k, ok := s.cache.keys[name]; return k, ok })
	if known {
		if err := s.allowKey(p, KeyManagement, k); err != nil {
			return err
		}
	}
	s.cache.forget(name)
	return s.note(p, AuditInvalidateCache, name, "", nil)
}

// allowMaking asks for the right to make a version, and to give its material.
func (s *Service) allowMaking(w *write, op Op, given Material) error {
	if err := s.allow(w.Principal, op, w.op, w.name); err != nil || !given.Present() {
		return err
	}
	return s.allow(w.Principal, OpSetKeyMaterial, w.op, w.name)
}

// allowManagement asks for the right to manage the key, if there is one: Hadoop has no rules for a key that is not there.
func (s *Service) allowManagement(ctx context.Context, w *write) error {
	k, err := s.key(ctx, w.name)
	if errors.Is(err, ErrKeyNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.allowKey(w.Principal, KeyManagement, k)
}

// newVersion makes the n-th version of k, generates its material if none is given, and seals it. The change gets its ID.
func (s *Service) newVersion(k Key, n int, c *Change, given Material) (SealedVersion, made, error) {
	if !given.Present() {
		b := make([]byte, k.BitLength/8)
		rand.Read(b)
		given = NewMaterial(b)
	}
	c.Version = NewID()
	ref := VersionRef{ID: c.Version, KeyID: k.ID, Key: k.Name, Name: NthVersionName(k.Name, n), Ordinal: n, Cipher: k.Cipher}
	v, err := s.Sealer.Seal(ref, given)
	if err != nil {
		return SealedVersion{}, made{}, fmt.Errorf("sealing version %s: %w", ref.Name.Quoted(), err)
	}
	v.Created = *c
	return v, made{change: *c, version: ref.Name, material: given}, nil
}

// versionMade is the answer to who made a version: with the material only if the caller may GET it now.
func (s *Service) versionMade(p Principal, name KeyName, m made) KeyVersion {
	v := KeyVersion{Key: name, Name: m.version}
	if s.Policy.Allows(p, OpGet) {
		v.Material = m.material
	}
	return v
}
