package seal

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
)

// recoveryPrefix begins the text form of a recovery key, so that nobody mistakes it for anything else.
const recoveryPrefix = "ktrecovery1"

var errNotRecovery = errors.New("not a recovery key: a character is missing or wrong; it is " + recoveryPrefix +
	" and 14 groups of 4 characters")

// NewRecovery makes a recovery root key. private is its private half as a person keeps it: 14 groups of 4 characters with
// a checksum. It is returned this once and kept nowhere.
func NewRecovery() (private string, public Public, err error) {
	key, err := kem.GenerateKey()
	if err != nil {
		return "", Public{}, fmt.Errorf("making the recovery key: %w", err)
	}
	seed, err := key.Bytes()
	if err != nil {
		return "", Public{}, fmt.Errorf("making the recovery key: %w", err)
	}
	return formatRecovery(seed), Public{key.PublicKey()}, nil
}

// ParseRecovery reads the private half of a recovery key as a person types it: case, blanks and dashes do not matter. It
// refuses text whose checksum is wrong. The error never quotes the text.
func ParseRecovery(text string) (*Root, error) {
	flat := strings.ToLower(strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return r == '-' || r == ' ' || r == '\t' || r == '\n' || r == '\r'
	}), ""))
	digits, ok := strings.CutPrefix(flat, recoveryPrefix)
	if !ok {
		return nil, errNotRecovery
	}
	raw, err := base32.StdEncoding.DecodeString(strings.ToUpper(digits))
	if err != nil || len(raw) != 32+3 {
		return nil, errNotRecovery
	}
	seed, sum := raw[:32], raw[32:]
	if string(recoverySum(seed)) != string(sum) {
		return nil, errNotRecovery
	}
	return parseRoot(seed)
}

// formatRecovery writes 32 bytes and a checksum of 3: 56 base-32 digits, without a bit to spare that could be wrong.
func formatRecovery(seed []byte) string {
	digits := strings.ToLower(base32.StdEncoding.EncodeToString(append(seed[:32:32], recoverySum(seed)...)))
	var b strings.Builder
	b.WriteString(recoveryPrefix)
	for ; digits != ""; digits = digits[4:] {
		b.WriteString("-" + digits[:4])
	}
	return b.String()
}

func recoverySum(seed []byte) []byte {
	sum := sha256.Sum256(append([]byte("keytrustee recovery\x00"), seed...))
	return sum[:3]
}
