package kmstest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"

	"keytrustee/kms"
)

// Sealer seals with a key that dies with it. It binds material to the whole VersionRef.
type Sealer struct {
	Opened atomic.Int64 // calls of Open
	key    [32]byte
}

// NewSealer returns a Sealer with a key of its own.
func NewSealer() *Sealer {
	s := &Sealer{}
	rand.Read(s.key[:])
	return s
}

// KEK is the id of the key-encryption key that a Sealer says it uses.
const KEK = "kek-of-a-test"

// Seal is kms.Sealer's.
func (s *Sealer) Seal(v kms.VersionRef, m kms.Material) (kms.SealedVersion, error) {
	nonce := make([]byte, 12)
	rand.Read(nonce)
	return kms.SealedVersion{VersionRef: v, KEK: KEK, Check: s.check(m.Bytes()),
		Sealed: s.aead().Seal(nonce, nonce, m.Bytes(), bound(v))}, nil
}

// Open is kms.Sealer's.
func (s *Sealer) Open(v kms.SealedVersion) (kms.Material, error) {
	s.Opened.Add(1)
	if v.KEK != KEK || len(v.Sealed) < 12 {
		return kms.Material{}, errors.New("was not sealed by a kmstest.Sealer")
	}
	b, err := s.aead().Open(nil, v.Sealed[:12], v.Sealed[12:], bound(v.VersionRef))
	if err != nil {
		return kms.Material{}, err
	}
	if !hmac.Equal(v.Check, s.check(b)) {
		return kms.Material{}, errors.New("check value differs")
	}
	return kms.NewMaterial(b), nil
}

func (s *Sealer) aead() cipher.AEAD {
	block, err := aes.NewCipher(s.key[:])
	if err != nil {
		panic(err) // the key has 32 bytes
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // the block has 16 bytes
	}
	return aead
}

func (s *Sealer) check(b []byte) []byte {
	h := hmac.New(sha256.New, s.key[:])
	h.Write(b)
	return h.Sum(nil)
}

func bound(v kms.VersionRef) []byte { return fmt.Appendf(nil, "%q", fmt.Sprint(v)) }
