package kms

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"
)

// What a key is made of where the request does not say.
const (
	DefaultCipher    = "AES/CTR/NoPadding"
	DefaultBitLength = 128
)

// CreateRequest is what a new key shall be. Zero Cipher and BitLength mean the defaults.
type CreateRequest struct {
	Name        string
	Cipher      string
	BitLength   int
	Material    Material // absent: it is generated
	Description *string
	Attributes  map[string]string
}

// CreateKey makes a key with one version, whose Material is absent where the caller may not GET it. Without an error the
// key is durable and proven on both hosts; with any error but ErrOutcomeUnknown nothing was made.
func (s *Service) CreateKey(ctx context.Context, c Call, r CreateRequest) (KeyVersion, *Hand, error) {
	if r.Cipher == "" {
		r.Cipher = DefaultCipher
	}
	if r.BitLength == 0 {
		r.BitLength = DefaultBitLength
	}
	name, err := r.validate()
	if err != nil {
		return KeyVersion{}, nil, err
	}
	description := "null"
	if r.Description != nil {
		description = *r.Description
	}
	attributes := r.Attributes // those that the key is to have, as the policy says
	w := &write{
		Call: c, kind: Created, op: AuditCreateKey, name: name,
		extra: fmt.Sprintf("UserProvidedMaterial:%t Description:%s", r.Material.Present(), description),
	}
	w.allow = func(context.Context) error {
		if err := s.allowMaking(w, OpCreate, r.Material); err != nil {
			return err
		}
		var ok bool
		if attributes, ok = s.Policy.AllowsCreate(c.Principal, name, maps.Clone(r.Attributes)); !ok {
			sentence := fmt.Sprintf("User [%s] is not authorized to create key !!", c.Principal.Short)
			return s.deny(c.Principal, sentence, name, AuditOp(KeyManagement), "ALL")
		}
		return nil
	}
	options := func() Metadata {
		return Metadata{Name: name, Cipher: r.Cipher, BitLength: r.BitLength, Description: r.Description,
			Attributes: attributes, Versions: 1}
	}
	w.change = func(ctx context.Context) (made, error) { return s.create(ctx, w, options(), r.Material) }
	w.same = func(k Key, m Material) bool { return sameOptions(options(), k.Metadata) && sameMaterial(r.Material, m) }

	m, h, err := s.deliver(ctx, w)
	if err != nil {
		return KeyVersion{}, nil, s.existing(c.Principal, options(), err)
	}
	return s.versionMade(c.Principal, name, m), h, nil
}

func (s *Service) create(ctx context.Context, w *write, options Metadata, given Material) (made, error) {
	c := s.newChange(w, NewID(), 0)
	key := Key{ID: c.KeyID, Metadata: options, CreatedBy: c.By}
	key.Created = c.At
	if key.Attributes == nil {
		key.Attributes = map[string]string{}
	}
	v, m, err := s.newVersion(key, 0, &c, given)
	if err != nil {
		return made{}, err
	}
	key.Last = c
	return m, s.Store.Apply(ctx, c, &key, &v)
}

// existing tells of the key that has the name only to its maker and to who may read metadata.
func (s *Service) existing(p Principal, options Metadata, err error) error {
	e, ok := errors.AsType[*ExistsError](err)
	if !ok {
		return err
	}
	told := ExistsError{Name: options.Name}
	k := e.Key
	if k != nil && (k.CreatedBy == p.By() ||
		s.Policy.Allows(p, OpGetMetadata) && s.Policy.AllowsKey(p, KeyRead, k.ACLName())) {
		told.Key, told.SameOptions = k, sameOptions(options, k.Metadata)
	}
	return &told
}

func sameOptions(a, b Metadata) bool {
	same := a.Cipher == b.Cipher && a.BitLength == b.BitLength && maps.Equal(a.Attributes, b.Attributes)
	if a.Description == nil || b.Description == nil {
		return same && a.Description == b.Description
	}
	return same && *a.Description == *b.Description
}

// validate checks a request whose defaults are filled in.
func (r CreateRequest) validate() (KeyName, error) {
	name, err := ParseKeyName(r.Name)
	if err != nil {
		return "", err
	}
	bad := func(field, reason string) (KeyName, error) { return "", &InvalidError{Field: field, Reason: reason} }
	if algorithm, _, _ := strings.Cut(r.Cipher, "/"); !strings.EqualFold(algorithm, "AES") {
		return bad("cipher", fmt.Sprintf("%q is not known; use AES, such as %s", r.Cipher, DefaultCipher))
	}
	if r.BitLength != 128 && r.BitLength != 192 && r.BitLength != 256 {
		return bad("length", "must be 128, 192 or 256")
	}
	if err := validMaterial(r.Material, r.BitLength); err != nil {
		return "", err
	}
	texts := map[string]string{"cipher": r.Cipher}
	if r.Description != nil {
		texts["description"] = *r.Description
	}
	for k, v := range r.Attributes {
		texts["attributes"] += k + v
	}
	for field, text := range texts {
		if !storable(text) {
			return bad(field, "contains a NUL byte or is not valid UTF-8")
		}
	}
	if acl, ok := r.Attributes[ACLAttribute]; ok && acl == "" {
		return bad("attributes", "give an empty "+ACLAttribute+"; leave it out or name the rules")
	}
	return name, nil
}

func validMaterial(m Material, bits int) error {
	if got := 8 * len(m.Bytes()); m.Present() && got != bits {
		return &InvalidError{Field: "material", Reason: fmt.Sprintf("has the wrong key length: required %d bits, but got %d", bits, got)}
	}
	return nil
}

// newChange is the next change of the key, signed.
func (s *Service) newChange(w *write, key ID, seq int) Change {
	return Change{ID: NewID(), KeyID: key, Seq: seq, Kind: w.kind, At: s.Now().UTC().Truncate(time.Millisecond),
		By: w.Principal.By(), From: w.Principal.Addr, RequestID: w.RequestID}
}
