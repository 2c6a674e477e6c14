package seal

import (
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
)

// BackupKey is what a backup is authenticated with. It is derived from the private half of the recovery key, so that whoever holds
// that can check a backup with nothing else; the hosts keep it as a box, and make it from nothing that a backup or its recipients
// tell. It may be used concurrently. It has no printable form.
type BackupKey struct {
	recovery string // fingerprint of the recovery key
	key      [32]byte
}

// BackupKey derives the key from r, which is the recovery key.
func (r *Root) BackupKey() (*BackupKey, error) {
	seed, err := r.key.Bytes() // the key's own, which is not to be cleared
	if err != nil {
		return nil, errors.New("deriving the key of backups: the recovery key has no seed") // the library's error is not asked: it may quote the key
	}
	derived, err := hkdf.Key(sha256.New, seed, nil, "keytrustee backup authentication 1", 32)
	if err != nil {
		return nil, fmt.Errorf("deriving the key of backups: %w", err)
	}
	defer clear(derived)
	k := &BackupKey{recovery: r.Public().Fingerprint()}
	copy(k.key[:], derived)
	return k, nil
}

// Recovery is the fingerprint of the recovery key that k is derived from.
func (k *BackupKey) Recovery() string { return k.recovery }

// MAC is the HMAC-SHA-256 of message.
func (k *BackupKey) MAC(message []byte) []byte { return mac(k.key[:], message) }

// Format prints the fingerprint of the recovery key for every verb.
func (k *BackupKey) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "[key of backups, of the recovery key %s]", k.recovery)
}

// backupKeyBox is the name of its box.
const backupKeyBox = "backup"

// SealBackupKey makes a box of it.
func (k *Keyring) SealBackupKey(b *BackupKey) ([]byte, error) {
	secret := append([]byte(b.recovery), b.key[:]...)
	defer clear(secret)
	return k.SealBox(backupKeyBox, secret)
}

// OpenBackupKey returns what SealBackupKey was given.
func (k *Keyring) OpenBackupKey(box []byte) (*BackupKey, error) {
	secret, err := k.OpenBox(backupKeyBox, box)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	b := new(BackupKey)
	at := len(secret) - len(b.key)
	if at < 0 || !isHex(string(secret[:at]), 32) {
		return nil, fmt.Errorf("box %q: it holds no key of backups", backupKeyBox)
	}
	b.recovery = string(secret[:at])
	copy(b.key[:], secret[at:])
	return b, nil
}
