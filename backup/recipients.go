package backup

import (
	"crypto/fips140"
	"fmt"
	"strings"

	"filippo.io/age"

	"keytrustee/postgres"
)

// fewest is how many recipients there have to be: the loss of one identity must not be the loss of every backup.
const fewest = 2

// Recipients are who can read a backup with identities that lie elsewhere. The zero Recipients is nobody.
type Recipients struct {
	list   []age.Recipient
	texts  []string
	hybrid bool
}

// RecipientsError says everything that is wrong with a list of recipients. It quotes none: one may be a secret that was
// taken for a recipient.
type RecipientsError struct{ Faults []RecipientFault }

// RecipientFault is one thing that is wrong with the list.
type RecipientFault struct {
	Problem string // names the value by its position, from 1 on
	Remedy  string
}

func (e *RecipientsError) Error() string {
	var lines []string
	for _, f := range e.Faults {
		lines = append(lines, f.Problem+"; "+f.Remedy)
	}
	return "the recipients of backups: " + strings.Join(lines, "\n  ")
}

const makeOne = "make one with age-keygen on a computer that is no host of the pair, keep its identity there, and give its recipient (age1…)"

// ParseRecipients reads age recipients, X25519 (age1…) or post-quantum (age1pq1…): at least two different ones, all of one
// kind. The error is a *RecipientsError with every fault.
func ParseRecipients(texts []string) (Recipients, error) {
	var r Recipients
	var faults []RecipientFault
	at, first := map[string]int{}, ""
	for i, text := range texts {
		which := fmt.Sprintf("value %d of %d", i+1, len(texts))
		recipient, kind, fault := parseRecipient(which, strings.TrimSpace(text))
		if fault != nil {
			faults = append(faults, *fault)
			continue
		}
		written := recipient.String()
		if before, have := at[written]; have {
			faults = append(faults, RecipientFault{fmt.Sprintf("%s is the same as value %d", which, before),
				"remove it, and give the recipient of another identity: the loss of one identity must not be the loss of every backup"})
			continue
		}
		at[written] = i + 1
		if first == "" {
			first = kind
		} else if kind != first {
			faults = append(faults, RecipientFault{fmt.Sprintf("%s is %s, and value %d is %s: age refuses to mix them, since the weaker would decide", which, kind,
				at[r.texts[0]], first), "give recipients of one kind: all age1pq1…, or all of the other kind (age1…)"})
			continue
		}
		r.list, r.texts, r.hybrid = append(r.list, recipient), append(r.texts, written), kind == postQuantum
	}
	switch n := len(texts); {
	case len(faults) > 0:
	case n == 0:
		faults = append(faults, RecipientFault{"there is none, and without somebody who can read it there is no backup", "give at least two: " + makeOne})
	case n < fewest:
		faults = append(faults, RecipientFault{"there is only one", "give another one: the loss of one identity must not be the loss of every backup; " + makeOne})
	}
	if len(faults) > 0 {
		return Recipients{}, &RecipientsError{faults}
	}
	return r, nil
}

// The kinds, as sentences name them.
const (
	postQuantum = "a post-quantum recipient"
	classical   = "an X25519 recipient"
)

// ageRecipient is what both kinds are.
type ageRecipient interface {
	age.Recipient
	fmt.Stringer
}

func parseRecipient(which, text string) (ageRecipient, string, *RecipientFault) {
	bad := func(problem, remedy string) (ageRecipient, string, *RecipientFault) {
		return nil, "", &RecipientFault{which + " " + problem, remedy}
	}
	switch lower := strings.ToLower(text); {
	case text == "":
		return bad("is empty", "remove it")
	case strings.HasPrefix(lower, "age-secret-key-"):
		return bad("is an identity, which is secret and must not lie on a host", "put the recipient (age1…) in its place, and make a new pair: this identity was on a host")
	case strings.HasPrefix(lower, "age1pq1"):
		if r, err := age.ParseHybridRecipient(lower); err == nil {
			return r, postQuantum, nil
		}
		return bad("is no post-quantum recipient: a character is missing or wrong", "copy it again, as age-keygen -pq printed it")
	case strings.HasPrefix(lower, "age1"):
		if r, err := age.ParseX25519Recipient(lower); err == nil {
			return r, classical, nil
		}
		return bad("is no recipient of age: a character is missing or wrong, or it is one of a plugin", "copy it again, as age-keygen printed it")
	}
	return bad("is not an age recipient: one begins with age1", makeOne)
}

// ShortRecipient is a recipient for people: one of the post-quantum kind has two thousand characters.
func ShortRecipient(recipient string) string {
	const most = 62 // of the other kind
	if len(recipient) <= most {
		return recipient
	}
	return recipient[:most-1] + "…"
}

// ephemeral is an identity for one run, of the same kind, and its recipient. The private half is in memory alone.
func (r Recipients) ephemeral() (age.Identity, age.Recipient, error) {
	if err := checkCiphers(); err != nil {
		return nil, nil, err
	}
	if r.hybrid {
		identity, err := age.GenerateHybridIdentity()
		if err != nil {
			return nil, nil, err
		}
		return identity, identity.Recipient(), nil
	}
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, nil, err
	}
	return identity, identity.Recipient(), nil
}

// checkCiphers returns a *postgres.SetupError where age can neither encrypt nor decrypt.
func checkCiphers() error {
	if !fips140.Enforced() {
		return nil
	}
	return &postgres.SetupError{Problem: "backups are encrypted with age, whose ciphers the FIPS 140 mode that is enforced here forbids",
		Remedy: "run the command without GODEBUG=fips140=only, or on a computer that does not enforce it"}
}
