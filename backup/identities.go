package backup

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"filippo.io/age"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"keytrustee/postgres"
)

// Identities are private keys that open backups. Printed, they tell whose they are, and no secret.
type Identities struct {
	list    []identity         // of age
	keys    openpgp.EntityList // OpenPGP secret keys
	session *session           // what opens one OpenPGP message alone
}

// identity is one of them, and the recipient whose it is.
type identity struct {
	age.Identity
	recipient string
}

// ParseIdentities reads what is in a file of identities as age-keygen makes it: one or more, each on a line, X25519
// (AGE-SECRET-KEY-1…) or post-quantum (AGE-SECRET-KEY-PQ-1…); empty lines and those that begin with # do not count. Or it reads
// OpenPGP secret keys as gpg exports them, armored or not, or what gpg says with --show-session-key --status-fd. Those that have a
// passphrase open nothing before Unlock. The error is a *postgres.SetupError, and quotes nothing of the text.
func ParseIdentities(text string) (ids Identities, err error) {
	trimmed := strings.TrimSpace(text)
	if ids.session = parseSession(text); ids.session != nil {
		return ids, checkCiphers()
	}
	if looksSecret(text) {
		return parseSecretKeys(text)
	}
	if strings.HasPrefix(trimmed, ageMagic) || strings.HasPrefix(trimmed, "-----BEGIN AGE ENCRYPTED FILE-----") {
		return ids, &postgres.SetupError{Problem: "the identities are encrypted with a passphrase, which is not asked for here",
			Remedy: "have age decrypt them on the way, which leaves no copy of them: --identity <(age -d FILE)"}
	}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		one, fault := parseIdentity(line)
		if fault != nil {
			fault.Problem = fmt.Sprintf("line %d of the identities %s", n, fault.Problem)
			return Identities{}, fault
		}
		ids.list = append(ids.list, one)
	}
	if len(ids.list) == 0 {
		return ids, &postgres.SetupError{Problem: "there is no identity, nothing but comments and empty lines", Remedy: "name the file that age-keygen made: one line of it begins with AGE-SECRET-KEY-"}
	}
	return ids, nil
}

// parseIdentity reads one. The problem of the error continues a sentence that names the line; the library's errors are not asked:
// they may quote a part of the key.
func parseIdentity(line string) (identity, *postgres.SetupError) {
	switch upper := strings.ToUpper(line); {
	case strings.HasPrefix(upper, "AGE-SECRET-KEY-PQ-1"):
		if key, err := age.ParseHybridIdentity(upper); err == nil {
			return identity{key, key.Recipient().String()}, nil
		}
	case strings.HasPrefix(upper, "AGE-SECRET-KEY-1"):
		if key, err := age.ParseX25519Identity(upper); err == nil {
			return identity{key, key.Recipient().String()}, nil
		}
	case strings.HasPrefix(upper, "AGE1"):
		return identity{}, &postgres.SetupError{Problem: "is a recipient, which opens nothing", Remedy: "name the file with its identity: a line of it begins with AGE-SECRET-KEY-"}
	case strings.HasPrefix(upper, "AGE-PLUGIN-"), strings.HasPrefix(upper, "-----BEGIN OPENSSH"):
		return identity{}, &postgres.SetupError{Problem: "is an identity of a plugin or of SSH, to which no backup of this program is encrypted",
			Remedy: "name the file that age-keygen made: a line of it begins with AGE-SECRET-KEY-"}
	default:
		return identity{}, &postgres.SetupError{Problem: "is no identity of age", Remedy: "name the file that age-keygen made: a line of it begins with AGE-SECRET-KEY-"}
	}
	return identity{}, &postgres.SetupError{Problem: "is no identity: a character is missing or wrong", Remedy: "copy it again, as age-keygen wrote it"}
}

// open begins to decrypt a file, and says whose identity has opened it.
func (i Identities) open(file io.Reader) (plain io.Reader, opened string, err error) {
	if err := checkCiphers(); err != nil {
		return nil, "", err
	}
	buffered := bufio.NewReaderSize(file, 1<<20)
	head, err := buffered.Peek(len(ageMagic))
	switch {
	case err == io.EOF:
		return nil, "", fmt.Errorf("decrypting: it ends after %d bytes", len(head))
	case err != nil:
		return nil, "", fmt.Errorf("decrypting: %w", err)
	case head[0]&0x80 != 0: // as each packet of OpenPGP begins
		return i.openMessage(buffered)
	case string(head) != ageMagic:
		return nil, "", errors.New("decrypting: it is neither a file of age nor an OpenPGP message")
	case len(i.list) == 0:
		return nil, "", i.stranger()
	}
	var list []age.Identity
	for _, one := range i.list {
		list = append(list, noting{one, &opened})
	}
	plain, err = age.Decrypt(buffered, list...)
	if _, none := errors.AsType[*age.NoIdentityMatchError](err); none {
		return nil, "", i.stranger()
	} else if err != nil {
		return nil, "", fmt.Errorf("decrypting: %w", err)
	}
	return plain, opened, nil
}

// noting notes that an identity has opened a file.
type noting struct {
	identity
	opened *string
}

func (n noting) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	key, err := n.Identity.Unwrap(stanzas)
	if err == nil {
		*n.opened = n.recipient
	}
	return key, err
}

// StrangerError means that none of the identities opens a backup.
type StrangerError struct {
	Recipients []string // whose identities were tried
	KeyIDs     []string // of the OpenPGP keys that the backup is encrypted to; none: it does not say
}

func (e *StrangerError) Error() string {
	var short []string
	for _, r := range e.Recipients {
		short = append(short, ShortRecipient(r))
	}
	text := "no identity that was given opens it; they are those of " + strings.Join(short, ", ")
	if len(e.KeyIDs) > 0 {
		text += "; it is an OpenPGP message to the keys " + strings.Join(e.KeyIDs, ", ")
	}
	return text
}

// Hint is what the operator can do.
func (e *StrangerError) Hint() string {
	return "take the identity of one of its recipients, which ktadmin backup show tells on its host, and its receipt, the .json beside it; with the right identity, the head of the file is damaged"
}

// stranger says whose identities were tried, of a file that asks for the OpenPGP keys with these ids.
func (i Identities) stranger(asked ...uint64) error {
	e := new(StrangerError)
	for _, one := range i.list {
		e.Recipients = append(e.Recipients, one.recipient)
	}
	for _, key := range i.keys {
		e.Recipients = append(e.Recipients, openPGPPrefix+fingerprintOf(key.PrimaryKey))
	}
	if i.session != nil {
		e.Recipients = append(e.Recipients, sessionKeyOf)
	}
	for _, id := range asked {
		if text := fmt.Sprintf("0x%016X", id); !slices.Contains(e.KeyIDs, text) {
			e.KeyIDs = append(e.KeyIDs, text)
		}
	}
	return e
}
