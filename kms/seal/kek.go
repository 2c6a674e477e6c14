package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"time"
)

// kek is a key-encryption key. It never leaves this package but wrapped. It has no printable form.
type kek struct {
	id     string // 16 hexadecimal digits
	made   time.Time
	secret [32]byte
}

func newKEK(now time.Time) *kek {
	k := &kek{made: now}
	var id [8]byte
	rand.Read(id[:])
	k.id = hex.EncodeToString(id[:])
	rand.Read(k.secret[:])
	return k
}

// Format prints the id for every verb.
func (k *kek) Format(f fmt.State, _ rune) { io.WriteString(f, "[kek "+k.id+"]") }

// derive returns a key for one purpose. more is further secret input, or nothing.
func (k *kek) derive(purpose string, more ...byte) []byte {
	key, err := hkdf.Key(sha256.New, append(k.secret[:len(k.secret):len(k.secret)], more...), nil, "keytrustee "+purpose, 32)
	if err != nil {
		panic(err) // only for a length beyond what the hash gives
	}
	return key
}

// encrypt returns a nonce and the ciphertext of plaintext under key, bound to bound.
func encrypt(key, plaintext, bound []byte) []byte {
	return gcm(key).Seal(nil, nil, plaintext, bound)
}

// decrypt returns what encrypt was given, or an error if anything differs.
func decrypt(key, box, bound []byte) ([]byte, error) { return gcm(key).Open(nil, nil, box, bound) }

// gcm chooses its nonces itself. Each key seals few messages: one version, or one box, at each of its sealings.
func gcm(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // keys here have 32 bytes
	}
	g, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return g
}

func mac(key []byte, message []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(message)
	return h.Sum(nil)
}

// bind joins fields so that no two different lists of fields give the same bytes.
func bind(fields ...string) []byte {
	var b []byte
	for _, f := range fields {
		b = binary.BigEndian.AppendUint64(b, uint64(len(f)))
		b = append(b, f...)
	}
	return b
}
