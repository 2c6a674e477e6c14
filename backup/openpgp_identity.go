package backup

import (
	"bytes"
	"encoding/hex"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"keytrustee/postgres"
)

// sessionKeyOf is what is said to have opened a message, where the key itself stayed where it is.
const sessionKeyOf = "openpgp:session-key"

// session is the key of one message alone, as gpg tells it.
type session struct {
	cipher packet.CipherFunction
	secret []byte
}

var sessionLine = regexp.MustCompile(`(?m)^\[GNUPG:\] SESSION_KEY (\d{1,2}):([0-9A-Fa-f]{32,64})\r?$`)

// parseSession reads what gpg --show-session-key --status-fd says; nil: it is something else.
func parseSession(text string) *session {
	found := sessionLine.FindStringSubmatch(text)
	if found == nil {
		return nil
	}
	cipher, err := strconv.Atoi(found[1])
	secret, err2 := hex.DecodeString(found[2])
	if err != nil || err2 != nil || !packet.CipherFunction(cipher).IsSupported() || packet.CipherFunction(cipher).KeySize() != len(secret) {
		return nil
	}
	return &session{packet.CipherFunction(cipher), secret}
}

// key is one made for this moment, and what stands before a message lets it open that with the session key.
func (s *session) key() (*openpgp.Entity, []byte, error) {
	key, err := newOpenPGPKey()
	if err != nil {
		return nil, nil, err
	}
	part, err := key.EncryptionKeyWithError(time.Now(), openPGPConfig())
	if err != nil {
		return nil, nil, err
	}
	var head bytes.Buffer
	err = packet.SerializeEncryptedKey(&head, part.PublicKey, s.cipher, s.secret, openPGPConfig())
	return key, head.Bytes(), err
}

// looksSecret reports whether text was meant to have an OpenPGP key: armored, or binary.
func looksSecret(text string) bool {
	return strings.Contains(text, "-----BEGIN PGP ") || text != "" && text[0]&0x80 != 0
}

const exportSecret = "name the file that gpg --export-secret-keys FINGERPRINT wrote; where the key lies on a card, have gpg say the session key of the backup, as docs/backup.md shows"

// parseSecretKeys reads OpenPGP secret keys. Nothing of the text is quoted.
func parseSecretKeys(text string) (ids Identities, err error) {
	if err := checkCiphers(); err != nil {
		return ids, err
	}
	keys, secret, err := readKeys([]byte(text))
	switch {
	case !secret && len(keys) > 0:
		return ids, &postgres.SetupError{Problem: "the identity is the public half of an OpenPGP key, which opens nothing", Remedy: exportSecret}
	case err != nil:
		return ids, &postgres.SetupError{Problem: "the identity is no OpenPGP secret key: it is damaged, or something else, or says only on which card the key lies", Remedy: exportSecret}
	}
	for _, e := range keys {
		if slices.ContainsFunc(e.DecryptionKeys(0, time.Time{}, openPGPConfig()), func(k openpgp.Key) bool { return k.PrivateKey != nil && !k.PrivateKey.Dummy() }) {
			ids.keys = append(ids.keys, e)
		}
	}
	if len(ids.keys) == 0 {
		return ids, &postgres.SetupError{Problem: "the secret part of the OpenPGP key that decrypts is not in the identity", Remedy: exportSecret}
	}
	return ids, nil
}

// Locked reports whether a passphrase is wanted, and none was given to Unlock.
func (i Identities) Locked() bool {
	return slices.ContainsFunc(i.keys, locked)
}

func locked(e *openpgp.Entity) bool {
	return slices.ContainsFunc(e.DecryptionKeys(0, time.Time{}, openPGPConfig()), func(k openpgp.Key) bool { return k.PrivateKey != nil && k.PrivateKey.Encrypted })
}

// Unlock opens the secret keys that have this passphrase. A *postgres.SetupError means that none has; they are as they were.
func (i Identities) Unlock(passphrase []byte) error {
	some := false
	for _, e := range i.keys {
		if locked(e) && e.DecryptPrivateKeys(passphrase) == nil {
			some = true
		}
	}
	if !some {
		return &postgres.SetupError{Problem: "the passphrase of the identity is wrong", Remedy: "give that of the OpenPGP key, which may have been exported under an earlier one"}
	}
	return nil
}
