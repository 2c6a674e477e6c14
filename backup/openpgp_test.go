package backup

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"keytrustee/internal/gpgtest"
	"keytrustee/postgres/pgtest"
)

// keysIn writes a file of OpenPGP keys.
func keysIn(t *testing.T, texts ...[]byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, bytes.Join(texts, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestOpenPGPRecipients: keys as gpg makes and exports them are taken, by their fingerprints however those are written, and what is
// encrypted to them this run opens.
func TestOpenPGPRecipients(t *testing.T) {
	t.Parallel()
	g := gpgtest.New(t)
	rsa, curve := g.Make("Alice", gpgtest.RSA), g.Make("Bob", gpgtest.Curve)
	grouped := strings.Join([]string{curve[:4], curve[4:20], curve[20:]}, " ")
	for name, path := range map[string]string{
		"binary":         keysIn(t, g.Public(rsa, curve)),
		"two exports":    keysIn(t, g.Public(rsa), g.Public(curve)),
		"armored":        keysIn(t, g.Run(nil, "--armor", "--export", rsa, curve)),
		"two armored":    keysIn(t, []byte("# Alice\n"), g.Run(nil, "--armor", "--export", rsa), g.Run(nil, "--armor", "--export", curve)),
		"more than both": keysIn(t, g.Public(g.Make("Carol", gpgtest.Curve), rsa, curve)),
	} {
		r, err := ParseRecipients([]string{openPGPPrefix + rsa, "OpenPGP: " + strings.ToLower(grouped)}, path, time.Now())
		if err != nil || len(r.texts) != 2 || r.texts[0] != openPGPPrefix+rsa || r.texts[1] != openPGPPrefix+curve || !r.Expires.IsZero() {
			t.Errorf("%s: %v, %v", name, r, err)
			continue
		}
		opensOwn(t, r)
	}
}

// TestOpenPGPRecipientsRefused: a key that is not named whole, is not there, or that nothing should be encrypted to, is refused with what to do; a
// file with a secret key altogether.
func TestOpenPGPRecipientsRefused(t *testing.T) {
	t.Parallel()
	g := gpgtest.New(t)
	good, other := g.Make("Alice", gpgtest.Curve), g.Make("Bob", gpgtest.Curve)
	expired := g.Make("Expired", gpgtest.Curve+"Expire-Date: 1y\n", "--faked-system-time", "20200101T000000!")
	revoked := g.Make("Revoked", gpgtest.Curve)
	g.Revoke(revoked)
	short := g.Make("Short", strings.ReplaceAll(gpgtest.RSA, "3072", "1024"))
	half := g.Make("Half", strings.Replace(gpgtest.RSA, "Subkey-Length: 3072", "Subkey-Length: 1024", 1))
	certifies := g.Make("Weak", strings.Replace(gpgtest.RSA, "Key-Length: 3072", "Key-Length: 1024", 1))
	dsa := g.Make("Old", "Key-Type: DSA\nKey-Length: 2048\nKey-Usage: sign\nSubkey-Type: RSA\nSubkey-Length: 3072\nSubkey-Usage: encrypt\n")
	signs := g.Make("Signs", "Key-Type: EDDSA\nKey-Curve: ed25519\nKey-Usage: sign\n")
	secp := g.Make("Coin", strings.Replace(gpgtest.Curve, "cv25519", "secp256k1", 1))
	future := g.Make("Future", gpgtest.Curve, "--faked-system-time", "20990101T000000!")
	file := keysIn(t, g.Public(good, other, expired, revoked, short, half, certifies, dsa, signs, secp, future))
	subkey := fingerprintOf(mustKeys(t, g.Public(good))[0].Subkeys[0].PublicKey)
	age := newIdentity(t).Recipient().String()
	of := func(fingerprint string) string { return openPGPPrefix + fingerprint }
	for name, row := range map[string]struct {
		file  string
		texts []string
		want  []string // of the faults
	}{
		"one":                    {file, []string{of(good)}, []string{"there is only one"}},
		"one twice":              {file, []string{of(good), of(strings.ToLower(good))}, []string{"value 2 of 2 is the same as value 1"}},
		"a long key id":          {file, []string{of(good), of(other[24:])}, []string{"value 2 of 2 is not the whole fingerprint"}},
		"a short key id":         {file, []string{of(good), "0x" + other[32:]}, []string{"value 2 of 2 is not the whole fingerprint"}},
		"a digit is missing":     {file, []string{of(good), of(other[:39])}, []string{"value 2 of 2 is not the whole fingerprint"}},
		"no digit":               {file, []string{of(good), of(other[:39] + "G")}, []string{"value 2 of 2 is not the whole fingerprint"}},
		"of version 3":           {file, []string{of(good), of(other[:32])}, []string{"value 2 of 2 is not the whole fingerprint"}},
		"of version 6":           {file, []string{of(good), of(other + good[:24])}, []string{"value 2 of 2 is the fingerprint of a key of another version"}},
		"no prefix":              {file, []string{of(good), other}, []string{"value 2 of 2 is a fingerprint without what it is of"}},
		"the key itself":         {file, []string{of(good), string(g.Run(nil, "--armor", "--export", other))}, []string{"value 2 of 2 is the key itself"}},
		"a subkey":               {file, []string{of(other), of(subkey)}, []string{"value 2 of 2 is the fingerprint of a subkey"}},
		"not there":              {file, []string{of(good), of(strings.Repeat("0", 40))}, []string{"value 2 of 2 is not among the keys of " + file}},
		"mixed":                  {file, []string{of(good), age}, []string{"value 2 of 2 is an X25519 recipient, and value 1 is an OpenPGP key: a backup is one"}},
		"mixed otherwise":        {file, []string{age, of(good)}, []string{"value 2 of 2 is an OpenPGP key, and value 1 is an X25519 recipient: a backup is one"}},
		"expired":                {file, []string{of(good), of(expired)}, []string{"value 2 of 2 (" + of(expired) + `, "Expired") has expired`}},
		"revoked":                {file, []string{of(good), of(revoked)}, []string{"value 2 of 2 (" + of(revoked) + `, "Revoked") was revoked`}},
		"RSA of 1024 bits":       {file, []string{of(good), of(short)}, []string{"value 2 of 2 (" + of(short) + `, "Short") is too weak`}},
		"its part of 1024 bits":  {file, []string{of(good), of(half)}, []string{"value 2 of 2 (" + of(half) + `, "Half") is too weak`}},
		"certified by 1024":      {file, []string{of(good), of(certifies)}, []string{"value 2 of 2 (" + of(certifies) + `, "Weak") is too weak`}},
		"DSA":                    {file, []string{of(good), of(dsa)}, []string{"value 2 of 2 (" + of(dsa) + `, "Old") is too weak`}},
		"a curve of coins":       {file, []string{of(good), of(secp)}, []string{"value 2 of 2 (" + of(secp) + `, "Coin") is too weak`}},
		"does not encrypt":       {file, []string{of(good), of(signs)}, []string{"value 2 of 2 (" + of(signs) + `, "Signs") has no part that encrypts`}},
		"of tomorrow":            {file, []string{of(good), of(future)}, []string{"value 2 of 2 (" + of(future) + `, "Future") was made at 2099-01-01T00:00:00Z, which is yet to come`}},
		"all at once":            {file, []string{of(expired), of(revoked)}, []string{"value 1 of 2", "value 2 of 2"}},
		"no file is named":       {"", []string{of(good), of(other)}, []string{"names no file"}},
		"no file":                {file + ".none", []string{of(good), of(other)}, []string{"can not be read: open " + file + ".none"}},
		"nothing":                {keysIn(t), []string{of(good), of(other)}, []string{"%s holds no OpenPGP keys"}},
		"something else":         {keysIn(t, []byte("age1…\n")), []string{of(good), of(other)}, []string{"%s holds no OpenPGP keys"}},
		"an armor that is cut":   {keysIn(t, g.Run(nil, "--armor", "--export", good)[:200]), []string{of(good), of(other)}, []string{"%s holds no OpenPGP keys"}},
		"a message":              {keysIn(t, g.Run([]byte("x"), "--armor", "-r", good, "-e")), []string{of(good), of(other)}, []string{"%s holds no OpenPGP keys"}},
		"a keybox":               {g.File("pubring.kbx"), []string{of(good), of(other)}, []string{"%s is a keybox"}},
		"a secret key":           {keysIn(t, g.Public(good), g.Run(nil, "--export-secret-keys", other)), []string{of(good), of(other)}, []string{"%s has a secret key"}},
		"an armored secret key":  {keysIn(t, g.Run(nil, "--armor", "--export", good), g.Secret(other)), []string{of(good), of(other)}, []string{"%s has a secret key"}},
		"only a secret subkey":   {keysIn(t, g.Public(good), g.Run(nil, "--export-secret-subkeys", other)), []string{of(good), of(other)}, []string{"%s has a secret key"}},
		"twice, of two ages":     {keysIn(t, g.Public(good), g.Public(good, other)), []string{of(good), of(other)}, []string{"%s has the key " + good + " twice"}},
		"what was damaged there": {keysIn(t, damagedKey(g.Public(other)), g.Public(good)), []string{of(good), of(other)}, []string{"value 2 of 2"}},
	} {
		_, err := ParseRecipients(row.texts, row.file, time.Now())
		wrong, ok := errors.AsType[*RecipientsError](err)
		if !ok || len(wrong.Faults) != len(row.want) {
			t.Errorf("%s: %v, want %q", name, err, row.want)
			continue
		}
		for i, f := range wrong.Faults {
			ofFile := strings.HasPrefix(row.want[i], "%s") || strings.Contains(row.want[i], "file") || strings.HasPrefix(row.want[i], "can not be read")
			if !strings.HasPrefix(f.Problem, strings.Replace(row.want[i], "%s", row.file, 1)) || f.Remedy == "" || f.KeyFile != ofFile {
				t.Errorf("%s: %q, want %q with a remedy", name, f.Problem, row.want[i])
			}
		}
		if strings.Contains(err.Error(), "PRIVATE KEY") || strings.Contains(err.Error(), "PUBLIC KEY") {
			t.Errorf("%s: the error quotes a key", name)
		}
	}
}

// damagedKey is a key one of whose signatures is not what it was.
func damagedKey(text []byte) []byte {
	text = bytes.Clone(text)
	text[len(text)-10] ^= 1
	return text
}

func mustKeys(t *testing.T, text []byte) openpgp.EntityList {
	t.Helper()
	keys, secret, err := readKeys(text)
	if err != nil || secret {
		t.Fatal(secret, err)
	}
	return keys
}

// TestOpenPGPWeakPart: a short key for encryption alone, a kind that nobody makes any more, is refused as well.
func TestOpenPGPWeakPart(t *testing.T) {
	for bits, want := range map[int]string{1024: "is too weak", 2048: ""} {
		key := newKey(t)
		config := openPGPConfig()
		config.Algorithm, config.RSABits = packet.PubKeyAlgoRSA, bits
		if err := key.AddEncryptionSubkey(config); err != nil {
			t.Fatal(err)
		}
		key.Subkeys = key.Subkeys[1:]
		part := key.Subkeys[0]
		part.PublicKey.PubKeyAlgo, part.Bindings[0].Valid = packet.PubKeyAlgoRSAEncryptOnly, nil
		if err := part.Bindings[0].Packet.SignKey(part.PublicKey, key.PrivateKey, openPGPConfig()); err != nil {
			t.Fatal(err)
		}
		if problem, _ := judgeKey(key, time.Now()); !strings.HasPrefix(problem, want) || (problem == "") != (want == "") {
			t.Errorf("%d bits: %q", bits, problem)
		}
	}
}

// TestOpenPGPExpires: the moment is known from which on the first of the recipients can not be encrypted to, by whatever part of its key ends; a
// part that takes over counts.
func TestOpenPGPExpires(t *testing.T) {
	t.Parallel()
	g := gpgtest.New(t)
	day := func(n int) time.Time { return time.Date(2026, 6, 1+n, 0, 0, 0, 0, time.UTC) }
	const made, later = "20260601T000000!", "20260602T000000!"
	never := g.Make("Never", gpgtest.Curve, "--faked-system-time", made)
	whole := g.Make("Whole", gpgtest.Curve+"Expire-Date: 20260701T000000\n", "--faked-system-time", made)
	part := g.Make("Part", gpgtest.Curve, "--faked-system-time", made)
	g.Run(nil, "--faked-system-time", later, "--quick-set-expire", part, "20260621T000000", "*")
	follows := g.Make("Follows", gpgtest.Curve, "--faked-system-time", made)
	g.Run(nil, "--faked-system-time", later, "--quick-set-expire", follows, "20260611T000000", "*")
	g.Run(nil, "--faked-system-time", later, "--quick-add-key", follows, "cv25519", "encr", "49d")
	file := keysIn(t, g.Public(never, whole, part, follows))
	for name, row := range map[string]struct {
		key      string
		at, want time.Time
	}{
		"the primary key":    {whole, day(1), day(30)},
		"the part":           {part, day(1), day(20)},
		"another takes over": {follows, day(2), day(50)},
		"the other alone":    {follows, day(15), day(50)},
	} {
		texts := []string{openPGPPrefix + never, openPGPPrefix + row.key}
		r, err := ParseRecipients(texts, file, row.at)
		if err != nil || !r.Expires.Equal(row.want) || r.Expiring != texts[1] {
			t.Errorf("%s: %v of %s, want %v, %v", name, r.Expires, r.Expiring, row.want, err)
		}
		if _, err := ParseRecipients(texts, file, row.want); err != nil {
			t.Errorf("%s: not at its last moment: %v", name, err)
		}
		if _, err := ParseRecipients(texts, file, row.want.Add(time.Second)); err == nil || !strings.Contains(err.Error(), "has expired") {
			t.Errorf("%s: a second later: %v", name, err)
		}
	}
}

// TestCreateOpenPGP: a backup for OpenPGP keys is made, proven and listed as any other; gpg opens it by hand and finds what the receipt says, and the
// exported secret half of either recipient proves it, and no other; of a file that was cut nothing is taken.
func TestCreateOpenPGP(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	g := gpgtest.New(t)
	alice, bob, mallory := g.Make("Alice", gpgtest.RSA), g.Make("Bob", gpgtest.Curve), g.Make("Mallory", gpgtest.Curve)
	s := newSite(t)
	var err error
	s.texts = []string{openPGPPrefix + alice, openPGPPrefix + bob}
	if s.Recipients, err = ParseRecipients(s.texts, keysIn(t, g.Public(alice, bob)), time.Now()); err != nil {
		t.Fatal(err)
	}
	r := s.mustCreate(t)
	s.holds(t, files(r)...)
	s.lists(t, r.Name)
	if !slices.Equal(r.Manifest.Recipients, s.texts) {
		t.Errorf("its recipients are %q", r.Manifest.Recipients)
	}
	// What lets Alice in is another: nobody but her would notice when she opens it.
	locking := s.Options
	locking.point = func(point string) error {
		if point == "written" {
			found, err := filepath.Glob(filepath.Join(s.Directory, "*"+partialSuffix))
			if err != nil || len(found) != 1 {
				t.Fatal(found, err)
			}
			pgtest.FlipByte(t, found[0], 60)
		}
		return nil
	}
	if _, err := Create(t.Context(), locking); err == nil || !strings.Contains(err.Error(), "the file is not what was written") {
		t.Errorf("a recipient was locked out: %v", err)
	}
	s.lists(t, r.Name)

	path := File(s.Directory, r.Name)
	if n := strings.Count(string(g.Run(nil, "--list-packets", path)), ":pubkey enc packet:"); n != 3 {
		t.Errorf("%d can read it, want two and the run itself", n)
	}
	sums := map[string]hash.Hash{}
	members := tar.NewReader(bytes.NewReader(holding(t, g.Secret(bob)).Run(nil, "--decrypt", path)))
	for {
		header, err := members.Next()
		if err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		stream := strings.TrimRight(header.Name, ".0123456789")
		if sums[stream] == nil {
			sums[stream] = sha256.New()
		}
		if _, err := io.Copy(sums[stream], members); err != nil {
			t.Fatal(err)
		}
	}
	for _, stream := range r.Streams {
		if sum := sums[stream.Name]; sum == nil || hex.EncodeToString(sum.Sum(nil)) != stream.SHA256 {
			t.Errorf("gpg finds another %s", stream.Name)
		}
	}
	if len(sums) != len(r.Streams)+3 { // the manifest, the trailer and the authentication
		t.Errorf("gpg finds %d things", len(sums))
	}
	for _, whose := range []string{alice, bob} {
		o := mustTestOptions(t, path, string(g.Secret(whose)))
		tested, err := RestoreTest(t.Context(), o)
		if err != nil || tested.Recipient != openPGPPrefix+whose || tested.SHA256 != r.SHA256 || tested.Rows != r.Rows {
			t.Errorf("%+v, %v", tested, err)
		}
		empty(t, o)
	}
	if _, err := RestoreTest(t.Context(), mustTestOptions(t, path, string(g.Secret(mallory)))); err == nil || !strings.Contains(err.Error(), "it is an OpenPGP message to the keys 0x") {
		t.Errorf("a stranger: %v", err)
	}
	if err := os.Truncate(path, r.Size-1); err != nil {
		t.Fatal(err)
	}
	o := mustTestOptions(t, path, string(g.Secret(bob)))
	if _, err := RestoreTest(t.Context(), o); err == nil || !strings.Contains(err.Error(), "is of no use") {
		t.Errorf("a file that was cut: %v", err)
	}
	empty(t, o)
}
