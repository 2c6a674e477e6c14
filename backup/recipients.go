package backup

import (
	"crypto/fips140"
	"fmt"
	"io"
	"strings"
	"time"

	"filippo.io/age"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"keytrustee/postgres"
)

// fewest is how many recipients there have to be: the loss of one identity must not be the loss of every backup.
const fewest = 2

// Recipients are who can read a backup with what lies elsewhere: identities of age, or OpenPGP secret keys. The zero Recipients is nobody.
type Recipients struct {
	list   []age.Recipient
	hybrid bool
	keys   openpgp.EntityList // instead of list
	texts  []string
	// Expires is when the first of them can no longer be encrypted to, so that no backup is made; zero: never. Expiring is which.
	Expires  time.Time
	Expiring string
}

// RecipientsError says everything that is wrong with a list of recipients. It quotes none: one may be a secret that was
// taken for a recipient.
type RecipientsError struct{ Faults []RecipientFault }

// RecipientFault is one thing that is wrong with the list.
type RecipientFault struct {
	Problem string // names the value by its position, from 1 on
	Remedy  string
	KeyFile bool // it is not of the list, but of the file of OpenPGP keys
}

func (e *RecipientsError) Error() string {
	var lines []string
	for _, f := range e.Faults {
		lines = append(lines, f.Problem+"; "+f.Remedy)
	}
	return "the recipients of backups: " + strings.Join(lines, "\n  ")
}

const makeOne = "make one with age-keygen on a computer that is no host of the pair, keep its identity there, and give its recipient (age1…)"

// ParseRecipients reads recipients: at least two different ones, all of one kind. They are of age, X25519 (age1…) or post-quantum
// (age1pq1…), or OpenPGP keys (openpgp:FINGERPRINT), which are looked up in keyFile and have to be such that nothing weak, expired or
// revoked is encrypted to at the time now. The error is a *RecipientsError with every fault.
func ParseRecipients(texts []string, keys string, now time.Time) (Recipients, error) {
	var r Recipients
	var faults []RecipientFault
	file := &keyFile{path: keys}
	at, first := map[string]int{}, ""
	for i, text := range texts {
		which := fmt.Sprintf("value %d of %d", i+1, len(texts))
		recipient, fault := file.parseRecipient(which, strings.TrimSpace(text), now)
		if fault != nil {
			faults = append(faults, *fault)
		}
		if recipient.written == "" {
			continue
		}
		if before, have := at[recipient.written]; have {
			faults = append(faults, RecipientFault{Problem: fmt.Sprintf("%s is the same as value %d", which, before),
				Remedy: "remove it, and give the recipient of another identity: the loss of one identity must not be the loss of every backup"})
			continue
		}
		at[recipient.written] = i + 1
		if first == "" {
			first = recipient.kind
		} else if recipient.kind != first {
			faults = append(faults, mixed(which, recipient.kind, at[r.texts[0]], first))
			continue
		}
		r.add(recipient, now)
	}
	switch n := len(texts); {
	case len(faults) > 0:
	case n == 0:
		faults = append(faults, RecipientFault{Problem: "there is none, and without somebody who can read it there is no backup", Remedy: "give at least two: " + makeOne})
	case n < fewest:
		faults = append(faults, RecipientFault{Problem: "there is only one", Remedy: "give another one: the loss of one identity must not be the loss of every backup; " + makeOne})
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
	ofOpenPGP   = "an OpenPGP key"
)

// mixed is what is wrong with recipients of two kinds.
func mixed(which, kind string, before int, first string) RecipientFault {
	f := RecipientFault{Problem: fmt.Sprintf("%s is %s, and value %d is %s: ", which, kind, before, first)}
	if kind == ofOpenPGP || first == ofOpenPGP {
		f.Problem += "a backup is one file of age, or one OpenPGP message"
		f.Remedy = "give recipients of one kind: all of age (age1…), or all openpgp:FINGERPRINT"
		return f
	}
	f.Problem += "age refuses to mix them, since the weaker would decide"
	f.Remedy = "give recipients of one kind: all age1pq1…, or all of the other kind (age1…)"
	return f
}

// recipient is one of them.
type recipient struct {
	age     age.Recipient
	key     *openpgp.Entity // instead of age
	written string          // as manifests have it; empty: it was refused
	kind    string
}

func (r *Recipients) add(one recipient, now time.Time) {
	r.texts, r.hybrid = append(r.texts, one.written), one.kind == postQuantum
	if one.key == nil {
		r.list = append(r.list, one.age)
		return
	}
	r.keys = append(r.keys, one.key)
	if end := keyExpires(one.key, now); !end.IsZero() && (r.Expires.IsZero() || end.Before(r.Expires)) {
		r.Expires, r.Expiring = end, one.written
	}
}

func (f *keyFile) parseRecipient(which, text string, now time.Time) (recipient, *RecipientFault) {
	bad := func(problem, remedy string) (recipient, *RecipientFault) {
		return recipient{}, &RecipientFault{Problem: which + " " + problem, Remedy: remedy}
	}
	switch lower := strings.ToLower(text); {
	case text == "":
		return bad("is empty", "remove it")
	case strings.HasPrefix(lower, "age-secret-key-"):
		return bad("is an identity, which is secret and must not lie on a host", "put the recipient (age1…) in its place, and make a new pair: this identity was on a host")
	case strings.HasPrefix(lower, "age1pq1"):
		if r, err := age.ParseHybridRecipient(lower); err == nil {
			return recipient{age: r, written: r.String(), kind: postQuantum}, nil
		}
		return bad("is no post-quantum recipient: a character is missing or wrong", "copy it again, as age-keygen -pq printed it")
	case strings.HasPrefix(lower, "age1"):
		if r, err := age.ParseX25519Recipient(lower); err == nil {
			return recipient{age: r, written: r.String(), kind: classical}, nil
		}
		return bad("is no recipient of age: a character is missing or wrong, or it is one of a plugin", "copy it again, as age-keygen printed it")
	}
	if !looksOpenPGP(text) {
		return bad("is not a recipient: one of age begins with age1, and an OpenPGP key is openpgp: and its fingerprint", makeOne)
	}
	if checkCiphers() != nil {
		return bad("is an OpenPGP key, which the FIPS 140 mode that is enforced here forbids to use", "run the command without GODEBUG=fips140=only, or on a computer that does not enforce it")
	}
	key, fault := f.parse(which, text, now)
	if key == nil {
		return recipient{}, fault
	}
	return recipient{key: key, written: openPGPPrefix + fingerprintOf(key.PrimaryKey), kind: ofOpenPGP}, nil
}

// ShortRecipient is a recipient for people: one of the post-quantum kind has two thousand characters.
func ShortRecipient(recipient string) string {
	const most = 62 // of the other kind
	if len(recipient) <= most {
		return recipient
	}
	return recipient[:most-1] + "…"
}

// sealer begins a file that whoever it is for can open. All of it is written when what it returns was closed; w stays open.
type sealer func(w io.Writer) (io.WriteCloser, error)

func sealAge(to ...age.Recipient) sealer {
	return func(w io.Writer) (io.WriteCloser, error) { return age.Encrypt(w, to...) }
}

// ephemeral encrypts to them and to one more, of the same kind, for one run, whose identity is in memory alone.
func (r Recipients) ephemeral() (own Identities, seal sealer, err error) {
	const whose = "of the run"
	if err := checkCiphers(); err != nil {
		return own, nil, err
	}
	all := r.list[:len(r.list):len(r.list)]
	switch {
	case len(r.keys) > 0:
		key, err := newOpenPGPKey()
		if err != nil {
			return own, nil, err
		}
		return Identities{keys: openpgp.EntityList{key}}, sealOpenPGP(append(r.keys[:len(r.keys):len(r.keys)], key)...), nil
	case r.hybrid:
		one, err := age.GenerateHybridIdentity()
		if err != nil {
			return own, nil, err
		}
		return Identities{list: []identity{{one, whose}}}, sealAge(append(all, one.Recipient())...), nil
	}
	one, err := age.GenerateX25519Identity()
	if err != nil {
		return own, nil, err
	}
	return Identities{list: []identity{{one, whose}}}, sealAge(append(all, one.Recipient())...), nil
}

// checkCiphers returns a *postgres.SetupError where neither age nor OpenPGP can encrypt or decrypt.
func checkCiphers() error {
	if !fips140.Enforced() {
		return nil
	}
	return &postgres.SetupError{Problem: "backups are encrypted with age or OpenPGP, whose ciphers the FIPS 140 mode that is enforced here forbids",
		Remedy: "run the command without GODEBUG=fips140=only, or on a computer that does not enforce it"}
}
