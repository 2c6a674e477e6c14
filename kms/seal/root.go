package seal

import (
	"crypto/hpke"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"keytrustee/internal/durable"
)

// The suite of every wrap: a hybrid of ML-KEM-768 and X25519, so that a wrap recorded today stays closed to a quantum
// computer of tomorrow.
var (
	kem  = hpke.MLKEM768X25519()
	kdf  = hpke.HKDFSHA256()
	aead = hpke.AES256GCM()
)

const (
	rootBlock      = "KEYTRUSTEE ROOT KEY"
	publicBlock    = "KEYTRUSTEE ROOT PUBLIC KEY"
	fingerprintRow = "Fingerprint"
)

// Root is a root key: the private key that opens wraps. It has no printable form.
type Root struct{ key hpke.PrivateKey }

// Public is the public half of a root key. Wraps are made with it.
type Public struct{ key hpke.PublicKey }

// NewRoot makes a root key and writes it to path, mode 0600. When it returns, the file is durable. It never replaces:
// if path exists the error is fs.ErrExist.
func NewRoot(path string) (*Root, error) {
	key, err := kem.GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("making root key %s: %w", path, err)
	}
	r := &Root{key}
	seed, err := key.Bytes()
	if err != nil {
		return nil, fmt.Errorf("making root key %s: %w", path, err)
	}
	if err := durable.CreateFile(path, armour(rootBlock, r.Public(), seed), 0o600); err != nil {
		return nil, fmt.Errorf("root key: %w", err)
	}
	return r, nil
}

// LoadRoot reads a root key that NewRoot wrote. It refuses a file that others may read, and one that is damaged.
func LoadRoot(path string) (*Root, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("root key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("root key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("root key %s has mode %04o: others may read it; set it to 0600", path, info.Mode().Perm())
	}
	text := make([]byte, min(info.Size(), 4096))
	if _, err := f.ReadAt(text, 0); err != nil {
		return nil, fmt.Errorf("reading root key %s: %w", path, err)
	}
	seed, fingerprint, err := disarm(rootBlock, text)
	if err != nil {
		return nil, fmt.Errorf("root key %s: %w", path, err)
	}
	r, err := parseRoot(seed)
	if err != nil {
		return nil, fmt.Errorf("root key %s: %w", path, err)
	}
	if r.Public().Fingerprint() != fingerprint {
		return nil, fmt.Errorf("root key %s is damaged: it is not the key of its fingerprint %s", path, fingerprint)
	}
	return r, nil
}

func parseRoot(seed []byte) (*Root, error) {
	key, err := kem.NewPrivateKey(seed)
	if err != nil {
		return nil, errors.New("not a root key") // the library's error is not asked: it may quote the key
	}
	return &Root{key}, nil
}

// Public returns the public half.
func (r *Root) Public() Public { return Public{r.key.PublicKey()} }

// Format prints the fingerprint for every verb.
func (r *Root) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "[root key %s]", r.Public().Fingerprint())
}

// Fingerprint names the root key: 32 hexadecimal digits.
func (p Public) Fingerprint() string {
	sum := sha256.Sum256(append([]byte("keytrustee root\x00"), p.key.Bytes()...))
	return hex.EncodeToString(sum[:16])
}

// MarshalText is the form in which a public root key travels and lies in files.
func (p Public) MarshalText() ([]byte, error) { return armour(publicBlock, p, p.key.Bytes()), nil }

// UnmarshalText reads what MarshalText wrote, and checks its fingerprint.
func (p *Public) UnmarshalText(text []byte) error {
	raw, fingerprint, err := disarm(publicBlock, text)
	if err != nil {
		return fmt.Errorf("public root key: %w", err)
	}
	key, err := kem.NewPublicKey(raw)
	if err != nil {
		return fmt.Errorf("public root key: %w", err)
	}
	if got := (Public{key}).Fingerprint(); got != fingerprint {
		return fmt.Errorf("public root key is damaged: its fingerprint is %s, it says %s", got, fingerprint)
	}
	p.key = key
	return nil
}

// armour writes key as a PEM block that names the fingerprint of its public half, so that a damaged file says so instead
// of being another key that opens nothing.
func armour(kind string, public Public, key []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{
		Type: kind, Headers: map[string]string{fingerprintRow: public.Fingerprint()}, Bytes: key,
	})
}

func disarm(kind string, text []byte) (key []byte, fingerprint string, err error) {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != kind || len(rest) != 0 || len(block.Headers) != 1 {
		return nil, "", fmt.Errorf("damaged, or not a %s", kind)
	}
	return block.Bytes, block.Headers[fingerprintRow], nil
}
