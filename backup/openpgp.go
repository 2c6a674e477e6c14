package backup

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// openPGPPrefix stands before the fingerprint of an OpenPGP key, where it is a recipient.
const openPGPPrefix = "openpgp:"

// fewestBits is how long an RSA key has to be.
const fewestBits = 2048

// openPGPConfig is what OpenPGP is done with here: what is weak is refused, a message has its digest of changes, and nothing is unpacked that is
// compressed. Anybody can encrypt to a public key, and a few MiB of compressed zeros fill the disk before it is known who they are by.
func openPGPConfig() *packet.Config {
	return &packet.Config{DefaultCipher: packet.CipherAES256, MinRSABits: fewestBits, Algorithm: packet.PubKeyAlgoEdDSA, Curve: packet.Curve25519,
		MaxDecompressedMessageSize: new(int64)}
}

// keyFile is the file of OpenPGP public keys, read when it is asked for.
type keyFile struct {
	path  string
	read  bool
	keys  openpgp.EntityList
	fault *RecipientFault // what is wrong with the whole file
}

const exportThem = "gpg --export FINGERPRINT… > FILE, on both hosts"

// looksOpenPGP reports whether text was meant as an OpenPGP key: a fingerprint or what is shorter than one, with or without its prefix, or the key itself.
func looksOpenPGP(text string) bool {
	if _, found := cutPrefixFold(text, openPGPPrefix); found || strings.Contains(text, "-----BEGIN PGP ") {
		return true
	}
	digits := hexDigits(text)
	return len(digits) >= 8 && strings.Trim(digits, "0123456789ABCDEF") == ""
}

func cutPrefixFold(text, prefix string) (string, bool) {
	if len(text) >= len(prefix) && strings.EqualFold(text[:len(prefix)], prefix) {
		return text[len(prefix):], true
	}
	return text, false
}

// hexDigits is a fingerprint as gpg shows it, in groups, without what is between them.
func hexDigits(text string) string {
	text, _ = cutPrefixFold(strings.Join(strings.Fields(text), ""), "0x")
	return strings.ToUpper(text)
}

func fingerprintOf(key *packet.PublicKey) string { return fmt.Sprintf("%X", key.Fingerprint) }

// parse returns the key whose fingerprint text is. A fault of the file itself is told once, by the first that asks.
func (f *keyFile) parse(which, text string, now time.Time) (*openpgp.Entity, *RecipientFault) {
	bad := func(problem, remedy string) (*openpgp.Entity, *RecipientFault) {
		return nil, &RecipientFault{Problem: which + " " + problem, Remedy: remedy}
	}
	if strings.Contains(text, "-----BEGIN PGP ") {
		return bad("is the key itself", "put it into the file of backup_openpgp_keys, and give its fingerprint here: openpgp:FINGERPRINT")
	}
	digits, found := cutPrefixFold(text, openPGPPrefix)
	digits = hexDigits(digits)
	const whole, longer = 40, 64 // of keys of version 4, and of those that came after it
	switch {
	case strings.Trim(digits, "0123456789ABCDEF") != "" || len(digits) != whole && len(digits) != longer:
		return bad("is not the whole fingerprint of an OpenPGP key, and anybody can make a key that a part of one fits",
			"give all 40 digits: gpg --fingerprint shows them")
	case len(digits) == longer:
		return bad("is the fingerprint of a key of another version than 4, which GnuPG does not read", "give a key that GnuPG made")
	case !found:
		return bad("is a fingerprint without what it is of", "write openpgp: before it")
	}
	if !f.read {
		f.read = true
		f.load()
		if f.fault != nil {
			return nil, f.fault
		}
	}
	if f.fault != nil {
		return nil, nil
	}
	at := slices.IndexFunc(f.keys, func(e *openpgp.Entity) bool { return fingerprintOf(e.PrimaryKey) == digits })
	if at < 0 {
		for _, e := range f.keys {
			if slices.ContainsFunc(e.Subkeys, func(s openpgp.Subkey) bool { return fingerprintOf(s.PublicKey) == digits }) {
				return bad("is the fingerprint of a subkey", "give that of its primary key: "+openPGPPrefix+fingerprintOf(e.PrimaryKey))
			}
		}
		return bad("is not among the keys of "+f.path+", which has "+f.holds(), "export it there, too: "+exportThem)
	}
	if problem, remedy := judgeKey(f.keys[at], now); problem != "" {
		return bad(fmt.Sprintf("(%s%s, %q) %s", openPGPPrefix, digits, nameOf(f.keys[at]), problem), remedy)
	}
	return f.keys[at], nil
}

// holds says which keys the file has, or some of them.
func (f *keyFile) holds() string {
	const some = 5
	var have []string
	for _, e := range f.keys[:min(len(f.keys), some)] {
		have = append(have, openPGPPrefix+fingerprintOf(e.PrimaryKey))
	}
	if n := len(f.keys) - some; n > 0 {
		have = append(have, fmt.Sprintf("and %d more", n))
	}
	return strings.Join(have, ", ")
}

func (f *keyFile) load() {
	bad := func(problem, remedy string) {
		f.fault = &RecipientFault{Problem: problem, Remedy: remedy, KeyFile: true}
	}
	if f.path == "" {
		bad("names no file, and backup_recipients has OpenPGP keys", "export their public halves, "+exportThem+", and name it")
		return
	}
	text, err := readAtMost(f.path, 4<<20)
	if err != nil {
		bad("can not be read: "+err.Error(), "put the public keys of backup_recipients there, readable for the user of the service: "+exportThem)
		return
	}
	var secret bool
	f.keys, secret, err = readKeys(text)
	switch {
	case secret:
		f.keys = nil
		bad(f.path+" has a secret key, which must not lie on a host", "remove the file, and export the public halves alone: "+exportThem+". Revoke that key and make a new one: it was on a host")
		return
	case bytes.HasPrefix(text[min(len(text), 8):], []byte("KBXf")):
		bad(f.path+" is a keybox, in which GnuPG keeps keys for itself", "export them: "+exportThem)
		return
	case err != nil:
		bad(f.path+" holds no OpenPGP keys: "+err.Error(), "export them again: "+exportThem)
		return
	}
	seen := map[string]bool{}
	for _, e := range f.keys {
		fingerprint := fingerprintOf(e.PrimaryKey)
		if seen[fingerprint] {
			bad(f.path+" has the key "+fingerprint+" twice, and one may be older than its expiry or its revocation", "export it once: "+exportThem)
			return
		}
		seen[fingerprint] = true
	}
}

func readAtMost(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("it has more than %d MiB", most>>20)
	}
	return text, err
}

// readKeys reads keys, armored, in one block or several, or binary. secret: there is a secret one among them.
func readKeys(text []byte) (keys openpgp.EntityList, secret bool, err error) {
	if !bytes.Contains(text, []byte("-----BEGIN PGP ")) {
		return readBinaryKeys(text)
	}
	in := bufio.NewReader(bytes.NewReader(text)) // armor takes it as it is, and reads no further than its block
	for {
		block, err := armor.Decode(in)
		if err == io.EOF {
			break
		} else if err != nil {
			return nil, secret, err
		}
		if block.Type != openpgp.PublicKeyType && block.Type != openpgp.PrivateKeyType {
			return nil, secret, fmt.Errorf("it has a block %q", block.Type)
		}
		body, err := io.ReadAll(block.Body)
		if err != nil {
			return nil, secret, err
		}
		some, private, err := readBinaryKeys(body)
		if keys, secret = append(keys, some...), secret || private; err != nil {
			return nil, secret, err
		}
	}
	if len(keys) == 0 {
		err = errors.New("no block of it is whole")
	}
	return keys, secret, err
}

func readBinaryKeys(body []byte) (keys openpgp.EntityList, secret bool, err error) {
	const secretKey, secretSubkey = 5, 7 // RFC 9580, section 5
	packets := packet.NewOpaqueReader(bytes.NewReader(body))
	for {
		p, err := packets.Next()
		if err == io.EOF {
			break
		} else if err != nil {
			return nil, secret, err
		}
		secret = secret || p.Tag == secretKey || p.Tag == secretSubkey
	}
	keys, err = openpgp.ReadKeyRing(bytes.NewReader(body))
	if err == nil && len(keys) == 0 {
		err = errors.New("there is none")
	}
	return keys, secret, err
}

// nameOf is one of the names of a key, for people.
func nameOf(e *openpgp.Entity) string {
	names := []string{""}
	for name := range e.Identities {
		names = append(names, name)
	}
	slices.Sort(names)
	return names[len(names)-1]
}

// judgeKey says why nothing is encrypted to a key, and what to do; empty: it can be.
func judgeKey(e *openpgp.Entity, now time.Time) (problem, remedy string) {
	const another = ", or give another recipient in its place"
	export := "; then export it again, into the file of backup_openpgp_keys on both hosts" + another
	fingerprint := fingerprintOf(e.PrimaryKey)
	if e.PrimaryKey.CreationTime.After(now) {
		return "was made at " + e.PrimaryKey.CreationTime.UTC().Format(time.RFC3339) + ", which is yet to come", "put the clock of this host right, or that of who made the key"
	}
	key, err := e.EncryptionKeyWithError(now, openPGPConfig())
	if selection, ok := errors.AsType[pgperrors.ErrEncryptionKeySelection](err); ok {
		err = errors.Join(selection.PrimaryKeyErr, selection.EncSelectionErr)
	} else if selection, ok := errors.AsType[*pgperrors.ErrEncryptionKeySelection](err); ok {
		err = errors.Join(selection.PrimaryKeyErr, selection.EncSelectionErr)
	}
	_, weak := errors.AsType[pgperrors.WeakAlgorithmError](err)
	if err == nil && (key.PublicKey.PubKeyAlgo == packet.PubKeyAlgoRSA || key.PublicKey.PubKeyAlgo == packet.PubKeyAlgoRSAEncryptOnly) {
		bits, unknown := key.PublicKey.BitLength()
		weak = unknown != nil || bits < fewestBits
	}
	switch {
	case e.PrimaryKey.Version != 4:
		return fmt.Sprintf("is of version %d, which GnuPG does not read", e.PrimaryKey.Version), "give a key that GnuPG made"
	case weak:
		return fmt.Sprintf("is too weak: RSA of fewer than %d bits, DSA, Elgamal or secp256k1", fewestBits), "make a new key: gpg --quick-generate-key NAME future-default" + another
	case err == nil:
		return "", ""
	case errors.Is(err, pgperrors.ErrKeyRevoked):
		return "was revoked", "give the key that has taken its place" + another
	case errors.Is(err, pgperrors.ErrKeyExpired):
		return "has expired", "let it live longer: " + prolong(e) + export
	}
	return "has no part that encrypts", "add one: gpg --quick-add-key " + fingerprint + " cv25519 encr" + export
}

// prolong are the commands that let a key live longer, with the parts of it that encrypt: gpg passes over those that have expired, unless they are named.
func prolong(e *openpgp.Entity) string {
	command := "gpg --quick-set-expire " + fingerprintOf(e.PrimaryKey) + " 2y"
	commands := []string{command}
	for _, s := range e.Subkeys {
		if s.PublicKey.PubKeyAlgo.CanEncrypt() && !s.Revoked(nil, time.Time{}) {
			commands = append(commands, command+" "+fingerprintOf(s.PublicKey))
		}
	}
	return strings.Join(commands, " && ")
}

// keyExpires is when a key that can be encrypted to no longer can; zero: never, as it is now.
func keyExpires(e *openpgp.Entity, now time.Time) time.Time {
	var ends []time.Time
	note := func(made time.Time, sigs []*packet.VerifiableSignature) {
		for _, s := range sigs {
			for _, end := range []struct {
				from time.Time
				life *uint32
			}{{made, s.Packet.KeyLifetimeSecs}, {s.Packet.CreationTime, s.Packet.SigLifetimeSecs}} {
				if end.life != nil && *end.life > 0 {
					ends = append(ends, end.from.Add(time.Duration(*end.life)*time.Second))
				}
			}
		}
	}
	note(e.PrimaryKey.CreationTime, e.DirectSignatures)
	for _, identity := range e.Identities {
		note(e.PrimaryKey.CreationTime, identity.SelfCertifications)
	}
	for _, s := range e.Subkeys {
		note(s.PublicKey.CreationTime, s.Bindings)
	}
	slices.SortFunc(ends, time.Time.Compare)
	for _, end := range ends { // what ends may leave another part that encrypts
		if end.After(now) {
			if problem, _ := judgeKey(e, end.Add(time.Second)); problem != "" {
				return end.UTC()
			}
		}
	}
	return time.Time{}
}
