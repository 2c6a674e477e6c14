package kms

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
)

// VersionName names one version of a key. It is opaque, unique text: files in HDFS carry it for ever. Those that this
// server makes look like "payroll@2"; imported ones may look otherwise, so it is compared and never parsed.
type VersionName string

// NthVersionName is the name that this server gives to the n-th version of a key, counted from 0.
func NthVersionName(key KeyName, n int) VersionName {
	return VersionName(string(key) + "@" + strconv.Itoa(n))
}

// Quoted is the name fit for a log line, as KeyName.Quoted.
func (n VersionName) Quoted() string { return strconv.Quote(string(n)) }

// Material is secret key material. It has no printable form: every fmt verb, slog and encoding/json give "[redacted]" or
// an error, also when it lies deep in another value. The zero Material is absent.
type Material struct{ b *[]byte }

const redacted = "[redacted]"

// NewMaterial takes ownership of b.
func NewMaterial(b []byte) Material { return Material{b: &b} }

// Bytes returns the secret itself. It belongs to the Material; the caller changes nothing in it. Nil when absent.
func (m Material) Bytes() []byte {
	if m.b == nil {
		return nil
	}
	return *m.b
}

// Present reports whether there is material at all; material of no bytes is present.
func (m Material) Present() bool { return m.b != nil }

// Format prints "[redacted]" for every verb.
func (m Material) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// LogValue is "[redacted]".
func (m Material) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText fails: material is encoded by hand, where that is meant.
func (m Material) MarshalText() ([]byte, error) {
	return nil, errors.New("key material has no text form")
}

// KeyVersion is one version of a key. Hadoop's KeyProvider.KeyVersion.
type KeyVersion struct {
	Key      KeyName
	Name     VersionName
	Material Material // absent where the caller may not GET it
}

// VersionRef says which version of which key material belongs to; sealing binds the material to all of it.
type VersionRef struct {
	ID      ID
	KeyID   ID
	Key     KeyName
	Name    VersionName
	Ordinal int    // the n-th version of its key, from 0
	Cipher  string // the key's
}

// SealedVersion is a version as it is stored. Without the key-encryption key it tells nothing.
type SealedVersion struct {
	VersionRef
	KEK     string // id of the key-encryption key that sealed it
	Sealed  []byte // nonce and ciphertext
	Check   []byte // check value: opened material must reproduce it
	Created Change // the change that made it
}
