package kms

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
)

// MaxGenerate is how many data keys one call may ask for.
const MaxGenerate = 10_000

const ivSize = aes.BlockSize

// GenerateEEK makes n data keys, each as long as the key, encrypted with the key's current version. n <= 0 gives none;
// ErrKeyNotFound. With a warm cache it reads neither Store nor disk.
func (s *Service) GenerateEEK(ctx context.Context, p Principal, name KeyName, n int) ([]EncryptedKeyVersion, error) {
	if n > MaxGenerate {
		return nil, &InvalidError{Field: "num_keys", Reason: "must be at most " + strconv.Itoa(MaxGenerate)}
	}
	if err := s.allow(p, OpGenerateEEK, AuditGenerateEEK, name); err != nil {
		return nil, err
	}
	eeks, err := s.generate(ctx, p, name, n)
	return eeks, s.note(p, AuditGenerateEEK, name, "", err)
}

func (s *Service) generate(ctx context.Context, p Principal, name KeyName, n int) ([]EncryptedKeyVersion, error) {
	k, err := s.liveKey(ctx, name)
	if err != nil {
		return nil, err
	}
	if err := s.allowKey(p, KeyGenerateEEK, k); err != nil {
		return nil, err
	}
	ref, m, err := s.current(ctx, k)
	if err != nil {
		return nil, err
	}
	eeks := make([]EncryptedKeyVersion, 0, max(n, 0))
	for range n {
		iv, dek := make([]byte, ivSize), make([]byte, len(m.Bytes()))
		rand.Read(iv)
		rand.Read(dek)
		eek, err := crypt(m, iv, dek)
		if err != nil {
			return nil, err
		}
		eeks = append(eeks, EncryptedKeyVersion{Key: ref.Key, Version: ref.Name, IV: iv, EEK: eek})
	}
	return eeks, nil
}

// DecryptEEK returns the data key; its Name is "EK". A version that is absent, or of another key than e.Key, is an
// *InvalidError. With a warm cache it reads neither Store nor disk.
func (s *Service) DecryptEEK(ctx context.Context, p Principal, e EncryptedKeyVersion) (KeyVersion, error) {
	if err := validIV(e.IV); err != nil {
		return KeyVersion{}, err
	}
	if err := s.allow(p, OpDecryptEEK, AuditDecryptEEK, e.Key); err != nil {
		return KeyVersion{}, err
	}
	dek, _, err := s.decrypt(ctx, p, KeyDecryptEEK, e)
	return KeyVersion{Key: e.Key, Name: "EK", Material: dek}, s.note(p, AuditDecryptEEK, e.Key, "", err)
}

// ReencryptEEK returns the same data key encrypted with the current version, under the same IV. Errors as DecryptEEK.
func (s *Service) ReencryptEEK(ctx context.Context, p Principal, e EncryptedKeyVersion) (EncryptedKeyVersion, error) {
	if err := validIV(e.IV); err != nil {
		return EncryptedKeyVersion{}, err
	}
	if err := s.allow(p, OpGenerateEEK, AuditReencryptEEK, e.Key); err != nil {
		return EncryptedKeyVersion{}, err
	}
	out, err := s.reencrypt(ctx, p, e)
	return out, s.note(p, AuditReencryptEEK, e.Key, "", err)
}

// ReencryptEEKs does that for many data keys of one key; the Key of each is ignored. One that is wrong fails them all.
func (s *Service) ReencryptEEKs(ctx context.Context, p Principal, name KeyName, es []EncryptedKeyVersion) ([]EncryptedKeyVersion, error) {
	for _, e := range es {
		if err := validIV(e.IV); err != nil {
			return nil, err
		}
	}
	if err := s.allow(p, OpGenerateEEK, AuditReencryptEEKBatch, name); err != nil {
		return nil, err
	}
	out := make([]EncryptedKeyVersion, 0, len(es))
	var err error
	for _, e := range es {
		e.Key = name
		if e, err = s.reencrypt(ctx, p, e); err != nil {
			out = nil
			break
		}
		out = append(out, e)
	}
	return out, s.note(p, AuditReencryptEEKBatch, name, fmt.Sprintf("reencrypted %d keys", len(es)), err)
}

func (s *Service) reencrypt(ctx context.Context, p Principal, e EncryptedKeyVersion) (EncryptedKeyVersion, error) {
	dek, v, err := s.decrypt(ctx, p, KeyGenerateEEK, e)
	if err != nil {
		return EncryptedKeyVersion{}, err
	}
	ref, m, err := s.current(ctx, v.key)
	if err != nil {
		return EncryptedKeyVersion{}, err
	}
	if ref.ID == v.ref.ID {
		return e, nil
	}
	eek, err := crypt(m, e.IV, dek.Bytes())
	return EncryptedKeyVersion{Key: e.Key, Version: ref.Name, IV: e.IV, EEK: eek}, err
}

// decrypt checks in Hadoop's order: the version exists, it is of that key, p may do op on the key.
func (s *Service) decrypt(ctx context.Context, p Principal, op KeyOp, e EncryptedKeyVersion) (Material, namedVersion, error) {
	quoted := "'" + unquoted(KeyName(e.Version)) + "'"
	v, open, err := s.version(ctx, e.Version)
	if errors.Is(err, ErrVersionNotFound) {
		err = &InvalidError{Field: quoted, Reason: "not found"}
	}
	if err == nil && v.key.Name != e.Key {
		err = &InvalidError{Field: "KeyVersion", Reason: quoted + " does not belong to the key '" + unquoted(e.Key) + "'"}
	}
	if err == nil {
		err = s.allowKey(p, op, v.key)
	}
	if err != nil {
		return Material{}, namedVersion{}, err
	}
	m, err := open()
	if err != nil {
		return Material{}, namedVersion{}, err
	}
	dek, err := crypt(m, e.IV, e.EEK)
	return NewMaterial(dek), v, err
}

// crypt encrypts or decrypts a data key: AES/CTR, whose counter block is the complement of the IV that is published,
// since HDFS uses the IV itself for the file. Nothing can tell a wrong IV or EEK from a right one.
func crypt(m Material, iv, in []byte) ([]byte, error) {
	block, err := aes.NewCipher(m.Bytes())
	if err != nil {
		return nil, fmt.Errorf("key material is no AES key: %w", err)
	}
	var counter [ivSize]byte
	for i := range counter {
		counter[i] = ^iv[i]
	}
	out := make([]byte, len(in))
	cipher.NewCTR(block, counter[:]).XORKeyStream(out, in)
	return out, nil
}

func validIV(iv []byte) error {
	if len(iv) != ivSize {
		return &InvalidError{Field: "iv", Reason: fmt.Sprintf("must have %d bytes; it has %d", ivSize, len(iv))}
	}
	return nil
}
