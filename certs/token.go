package certs

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"strings"
	"time"
)

// Token lets one host join: it tells the joiner where the active is and which authority to believe, and holds a secret
// that the active takes once. It has no printable form but Text.
type Token struct {
	Address   string // host:port of the active's cluster listener
	Authority Fingerprint
	Expires   time.Time // to the second
	secret    [24]byte
}

const tokenPrefix = "ktjoin1."

// NewToken returns a token with a new secret.
func NewToken(address string, authority Fingerprint, expires time.Time) *Token {
	t := &Token{Address: address, Authority: authority, Expires: expires.Truncate(time.Second)}
	rand.Read(t.secret[:])
	return t
}

// Text is the token for the operator to carry: prefix, base64url, checksum. It is a secret.
func (t *Token) Text() string {
	b := append([]byte(nil), t.secret[:]...)
	b = append(b, t.Authority[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(t.Expires.Unix()))
	b = append(b, t.Address...)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(b)
}

// errTokenForm is wrapped by every error of ParseToken.
var errTokenForm = errors.New("this is not a join token")

// ParseToken reads what Text wrote, blanks around it ignored. It knows nothing of the cluster: whether the token is
// expired the caller asks Expired, whether it was used only the active knows.
func ParseToken(text string) (*Token, error) {
	body, ok := strings.CutPrefix(strings.TrimSpace(text), tokenPrefix)
	if !ok {
		return nil, fmt.Errorf("%w: it does not begin with %s", errTokenForm, tokenPrefix)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil {
		return nil, fmt.Errorf("%w: it contains a character that no token has", errTokenForm)
	}
	const fixed = 24 + sha256.Size + 8
	if len(b) <= fixed+4 {
		return nil, fmt.Errorf("%w: its end is missing", errTokenForm)
	}
	b, sum := b[:len(b)-4], b[len(b)-4:]
	if crc32.ChecksumIEEE(b) != binary.BigEndian.Uint32(sum) {
		return nil, fmt.Errorf("%w: its checksum is wrong, so a part is missing or mistyped", errTokenForm)
	}
	t := &Token{Address: string(b[fixed:]), Expires: time.Unix(int64(binary.BigEndian.Uint64(b[fixed-8:])), 0)}
	copy(t.secret[:], b)
	copy(t.Authority[:], b[24:])
	return t, nil
}

// Expired reports whether the token's time is over.
func (t *Token) Expired(now time.Time) bool { return !now.Before(t.Expires) }

// Secret is what the joiner shows to the active, over a connection whose authority it has checked.
func (t *Token) Secret() string { return hex.EncodeToString(t.secret[:]) }

// Hash is what the active stores of the token.
func (t *Token) Hash() string { return HashSecret(t.Secret()) }

// HashSecret returns the Hash of the token with that Secret.
func HashSecret(secret string) string {
	sum := sha256.Sum256([]byte("keytrustee join token\x00" + secret))
	return hex.EncodeToString(sum[:])
}

// Format prints "[redacted]" for every verb.
func (t Token) Format(f fmt.State, _ rune) { fmt.Fprint(f, "[redacted]") }

// LogValue is "[redacted]".
func (t Token) LogValue() slog.Value { return slog.StringValue("[redacted]") }
