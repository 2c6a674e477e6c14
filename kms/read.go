package kms

import "context"

// KeyNames returns the names of all keys that are not deleted, in order.
func (s *Service) KeyNames(ctx context.Context, p Principal) ([]KeyName, error) {
	panic("not built yet")
}

// Metadata describes a key; ErrKeyNotFound if there is none, or it is deleted.
func (s *Service) Metadata(ctx context.Context, p Principal, name KeyName) (Metadata, error) {
	panic("not built yet")
}

// KeysMetadata describes keys, in the order of names; nil for one that is absent or deleted.
func (s *Service) KeysMetadata(ctx context.Context, p Principal, names []KeyName) ([]*Metadata, error) {
	panic("not built yet")
}

// CurrentKey returns the newest version; ErrKeyNotFound.
func (s *Service) CurrentKey(ctx context.Context, p Principal, name KeyName) (KeyVersion, error) {
	panic("not built yet")
}

// KeyVersion returns a version by its name; ErrVersionNotFound.
func (s *Service) KeyVersion(ctx context.Context, p Principal, name VersionName) (KeyVersion, error) {
	panic("not built yet")
}

// KeyVersions returns all versions, oldest first; ErrKeyNotFound.
func (s *Service) KeyVersions(ctx context.Context, p Principal, name KeyName) ([]KeyVersion, error) {
	panic("not built yet")
}

// Recent returns the change of that kind that the same caller made to the key within the last minute, as this host's
// Store shows it.
func (s *Service) Recent(ctx context.Context, p Principal, kind ChangeKind, name KeyName) (Change, bool) {
	panic("not built yet")
}
