package backup

import (
	"errors"
	"fmt"
	"strings"

	"filippo.io/age"

	"keytrustee/postgres"
)

// Identities are private keys that open backups. Printed, they tell whose they are, and no secret.
type Identities struct{ list []identity }

// identity is one of them, and the recipient whose it is.
type identity struct {
	age.Identity
	recipient string
}

// ParseIdentities reads what is in a file of identities as age-keygen makes it: one or more, each on a line, X25519
// (AGE-SECRET-KEY-1…) or post-quantum (AGE-SECRET-KEY-PQ-1…); empty lines and those that begin with # do not count. The error is a
// *postgres.SetupError, and quotes nothing of the text.
func ParseIdentities(text string) (ids Identities, err error) {
	trimmed := strings.TrimSpace(text)
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

// decrypting returns what to give to age, and what then says whose identity has opened the file.
func (i Identities) decrypting() (list []age.Identity, opened *string) {
	opened = new(string)
	for _, one := range i.list {
		list = append(list, noting{one, opened})
	}
	return list, opened
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
}

func (e *StrangerError) Error() string {
	var short []string
	for _, r := range e.Recipients {
		short = append(short, ShortRecipient(r))
	}
	return "no identity that was given opens it; they are those of " + strings.Join(short, ", ")
}

// Hint is what the operator can do.
func (e *StrangerError) Hint() string {
	return "take the identity of one of its recipients, which ktadmin backup show tells on its host, and its receipt, the .json beside it; with the right identity, the head of the file is damaged"
}

// stranger makes age's error one that says whose identities were tried.
func (i Identities) stranger(err error) error {
	if _, none := errors.AsType[*age.NoIdentityMatchError](err); !none {
		return err
	}
	e := new(StrangerError)
	for _, one := range i.list {
		e.Recipients = append(e.Recipients, one.recipient)
	}
	return e
}
