package kms

import "context"

// Call is one delivery of a write.
type Call struct {
	Principal  Principal
	RequestID  string // X-Keytrustee-Request-Id; empty: none was sent
	DeliveryID string // names this delivery between the hosts; a delivery that is sent again keeps it; may be empty
	Body       []byte // the decoded body in canonical form: two bodies that mean the same are equal
}

// CreateRequest is what a new key shall be. Zero Cipher and BitLength mean AES/CTR/NoPadding and 128.
type CreateRequest struct {
	Name        string
	Cipher      string
	BitLength   int
	Material    Material // absent: it is generated
	Description *string
	Attributes  map[string]string
}

// CreateKey makes a key with one version. The Hand is nil where the error is not.
func (s *Service) CreateKey(ctx context.Context, c Call, r CreateRequest) (KeyVersion, *Hand, error) {
	panic("not built yet")
}

// RollNewVersion makes a new version of the key; absent material is generated.
func (s *Service) RollNewVersion(ctx context.Context, c Call, name KeyName, m Material) (KeyVersion, *Hand, error) {
	panic("not built yet")
}

// DeleteKey deletes the key softly.
func (s *Service) DeleteKey(ctx context.Context, c Call, name KeyName) (*Hand, error) {
	panic("not built yet")
}

// UndeleteKey brings back a deleted key with all its versions.
func (s *Service) UndeleteKey(ctx context.Context, c Call, name KeyName) (*Hand, error) {
	panic("not built yet")
}

// PurgeKey erases a deleted key for good; its name can be used again.
func (s *Service) PurgeKey(ctx context.Context, c Call, name KeyName) (*Hand, error) {
	panic("not built yet")
}

// InvalidateCache touches neither Store nor disk.
func (s *Service) InvalidateCache(ctx context.Context, c Call, name KeyName) error {
	panic("not built yet")
}
