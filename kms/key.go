package kms

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// KeyName is a key's name as its owner spells it. Case is kept; a slash, a blank or a line feed is a character like any
// other. Show it with Quoted: a raw name can forge a log line.
type KeyName string

// MaxKeyName is the longest key name, in bytes.
const MaxKeyName = 255

// reservedSegments end a path of the KMS protocol, so a key of which they are the last segment could not be asked for.
var reservedSegments = []string{"_metadata", "_currentversion", "_versions", "_eek", "_reencryptbatch", "_invalidatecache"}

// ParseKeyName returns s as the name of a key that may be created, or an *InvalidError that says what is wrong with it.
// Reads take any text: a name that can not be created is simply not there.
func ParseKeyName(s string) (KeyName, error) {
	bad := func(reason string) (KeyName, error) { return "", &InvalidError{Field: "name", Reason: reason} }
	switch {
	case s == "":
		return bad("is empty; give the key a name")
	case len(s) > MaxKeyName:
		return bad("has " + strconv.Itoa(len(s)) + " bytes; at most 255 are allowed")
	case !utf8.ValidString(s):
		return bad("is not valid UTF-8")
	case strings.ContainsRune(s, 0):
		return bad("contains a NUL byte")
	case s == "." || s == "..":
		return bad(`can not be "." or ".."`)
	}
	last := s[strings.LastIndexByte(s, '/')+1:]
	for _, r := range reservedSegments {
		if last == r {
			return bad("ends in " + r + ", which the KMS protocol keeps for itself")
		}
	}
	return KeyName(s), nil
}

// Quoted is the name in double quotes with everything unprintable escaped, fit for a log line, a terminal or a sentence.
func (n KeyName) Quoted() string { return strconv.Quote(string(n)) }

// Metadata describes a key; it holds no secret. Hadoop's KeyProvider.Metadata.
type Metadata struct {
	Name        KeyName
	Cipher      string            // as sent, such as AES/CTR/NoPadding
	BitLength   int               // of the material
	Description *string           // nil: none was given
	Attributes  map[string]string // never nil when it comes from a Store
	Created     time.Time         // millisecond precision
	Versions    int               // number of versions ever made
}

// Key is all that a Store says of a key but its material.
type Key struct {
	ID ID
	Metadata
	CreatedBy string // who created it, as Principal.By says
	Last      Change // its newest change
}

// Deleted reports whether the key is soft-deleted: it can be undeleted, and nothing else.
func (k Key) Deleted() bool { return k.Last.Kind == Deleted }
