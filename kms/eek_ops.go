package kms

import "context"

// GenerateEEK makes n data keys, encrypted with the key's current version. n <= 0 gives none; ErrKeyNotFound.
func (s *Service) GenerateEEK(ctx context.Context, p Principal, name KeyName, n int) ([]EncryptedKeyVersion, error) {
	panic("not built yet")
}

// DecryptEEK returns the data key; its Name is "EK". A version that is absent, or of another key than e.Key, is an
// *InvalidError.
func (s *Service) DecryptEEK(ctx context.Context, p Principal, e EncryptedKeyVersion) (KeyVersion, error) {
	panic("not built yet")
}

// ReencryptEEK returns the same data key encrypted with the current version, under the same IV. Errors as DecryptEEK.
func (s *Service) ReencryptEEK(ctx context.Context, p Principal, e EncryptedKeyVersion) (EncryptedKeyVersion, error) {
	panic("not built yet")
}

// ReencryptEEKs does that for many data keys of one key; the Key of each is ignored.
func (s *Service) ReencryptEEKs(ctx context.Context, p Principal, name KeyName, es []EncryptedKeyVersion) ([]EncryptedKeyVersion, error) {
	panic("not built yet")
}
