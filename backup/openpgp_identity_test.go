package backup

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"keytrustee/internal/gpgtest"
)

// TestOpenPGPPassphrase: a secret key as gpg exports it is locked with its passphrase, and opens a backup with that alone. Printed it tells no secret.
func TestOpenPGPPassphrase(t *testing.T) {
	t.Parallel()
	g := gpgtest.New(t)
	fingerprint := g.Make("Alice", gpgtest.Curve+"Passphrase: correct horse\n")
	file := sealedBackup(t, smallManifest, sealOpenPGP(mustKeys(t, g.Public(fingerprint))...))
	ids, err := ParseIdentities(string(g.Secret(fingerprint, "--passphrase", "correct horse")))
	if err != nil || !ids.Locked() {
		t.Fatal(err)
	}
	if _, _, err := unpackBy(t, file, ids); err == nil {
		t.Error("it opens without its passphrase")
	}
	for _, wrong := range []string{"", "correct horse\n"} {
		if err := ids.Unlock([]byte(wrong)); err == nil || !strings.Contains(err.Error(), "the passphrase of the identity is wrong") || !ids.Locked() {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	if err := ids.Unlock([]byte("correct horse")); err != nil || ids.Locked() {
		t.Fatal(err)
	}
	if u, _, err := unpackBy(t, file, ids); err != nil || u.Recipient != openPGPPrefix+fingerprint {
		t.Errorf("%s, %v", u.Recipient, err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if text := fmt.Sprintf(verb, ids) + fmt.Sprintf(verb, &ids); len(text) > 1000 {
			t.Errorf("%s prints %s", verb, text)
		}
	}
}

// TestOpenPGPIdentitiesRefused: what holds no secret key that decrypts is refused with what to do, and nothing of it is quoted.
func TestOpenPGPIdentitiesRefused(t *testing.T) {
	t.Parallel()
	g := gpgtest.New(t)
	key, signs := g.Make("Alice", gpgtest.Curve), g.Make("Signs", "Key-Type: EDDSA\nKey-Curve: ed25519\nKey-Usage: sign\n")
	secret := g.Run(nil, "--export-secret-keys", key)
	for name, row := range map[string]struct {
		text []byte
		want string
	}{
		"the public half":     {g.Public(key), "is the public half of an OpenPGP key"},
		"armored":             {g.Run(nil, "--armor", "--export", key), "is the public half of an OpenPGP key"},
		"it only signs":       {g.Secret(signs), "the secret part of the OpenPGP key that decrypts is not in the identity"},
		"cut":                 {secret[:len(secret)/3], "is no OpenPGP secret key"},
		"an armor that is":    {g.Secret(key)[:300], "is no OpenPGP secret key"},
		"a message":           {g.Run([]byte("x"), "-r", key, "-e"), "is no OpenPGP secret key"},
		"something binary":    {[]byte{0x89, 1, 2, 3}, "is no OpenPGP secret key"},
		"it lies on a card":   {onCard(t, g.Public(key)), "says only on which card the key lies"},
		"a session key, half": {[]byte("[GNUPG:] SESSION_KEY 9:ABCD\n"), "is no identity of age"},
	} {
		ids, err := ParseIdentities(string(row.text))
		if err == nil || !strings.Contains(err.Error(), row.want) || len(ids.keys) > 0 {
			t.Errorf("%s: %v, want %q", name, err, row.want)
			continue
		}
		if hint, ok := err.(interface{ Hint() string }); !ok || hint.Hint() == "" {
			t.Errorf("%s: no hint", name)
		}
	}
}

// onCard is a secret key as gpg exports it when its parts were moved to a card: each says that, and which card it is.
func onCard(t *testing.T, public []byte) []byte {
	t.Helper()
	stub := slices.Concat([]byte{0xFF, 0, 101, 0}, []byte("GNU\x02"), []byte{16}, make([]byte, 16))
	secret := map[uint8]uint8{6: 5, 14: 7} // of keys and of subkeys
	var out bytes.Buffer
	for packets := packet.NewOpaqueReader(bytes.NewReader(public)); ; {
		p, err := packets.Next()
		if err == io.EOF {
			return out.Bytes()
		} else if err != nil {
			t.Fatal(err)
		}
		if tag, is := secret[p.Tag]; is {
			p.Tag, p.Contents = tag, append(p.Contents, stub...)
		}
		if err := p.Serialize(&out); err != nil {
			t.Fatal(err)
		}
	}
}

// FuzzOpenPGPKeys: nothing that lies where keys should makes this program end.
func FuzzOpenPGPKeys(f *testing.F) {
	key, err := newOpenPGPKey()
	if err != nil {
		f.Fatal(err)
	}
	var public, secret bytes.Buffer
	if err := errors.Join(key.Serialize(&public), key.SerializePrivateWithoutSigning(&secret, nil)); err != nil {
		f.Fatal(err)
	}
	f.Add(public.Bytes())
	f.Add(secret.Bytes())
	f.Add([]byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDM=\n=AAAA\n-----END PGP PUBLIC KEY BLOCK-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, _, _ := readKeys(text)
		for _, e := range keys {
			judgeKey(e, time.Now())
			keyExpires(e, time.Now())
		}
		ids, err := ParseIdentities(string(text))
		if err == nil && ids.Locked() {
			return // a passphrase is not tried: it takes long, as it should
		}
	})
}

// TestOpenPGPSessionKey: where the secret key stays with its owner, as on a card, what gpg says of a backup opens that one and no other.
func TestOpenPGPSessionKey(t *testing.T) {
	t.Parallel()
	g := gpgtest.New(t)
	keys := mustKeys(t, g.Public(g.Make("Alice", gpgtest.RSA), g.Make("Bob", gpgtest.Curve)))
	file, another := sealedBackup(t, smallManifest, sealOpenPGP(keys...)), sealedBackup(t, smallManifest, sealOpenPGP(keys...))
	said := g.Run(file, "--status-fd", "1", "--show-session-key", "--output", os.DevNull, "--decrypt")
	ids, err := ParseIdentities(string(said))
	if err != nil || ids.Locked() {
		t.Fatalf("%v: %s", err, said)
	}
	if u, _, err := unpackBy(t, file, ids); err != nil || u.Recipient != sessionKeyOf || u.Size != int64(len(file)) {
		t.Errorf("%+v, %v", u, err)
	}
	if _, _, err := unpackBy(t, another, ids); err == nil {
		t.Error("it opens another backup")
	}
	file[len(file)-1] ^= 1
	if _, _, err := unpackBy(t, file, ids); err == nil {
		t.Error("it opens what was changed")
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		secret := fmt.Sprintf("%x", ids.session.secret)
		if text := fmt.Sprintf(verb, ids) + fmt.Sprintf(verb, &ids); strings.Contains(strings.ToLower(text), secret[:16]) || len(text) > 1000 {
			t.Errorf("%s prints %s", verb, text)
		}
	}
}
