package backup

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"keytrustee/internal/gpgtest"
)

// TestOpenPGPMessage: what is encrypted to keys of gpg gpg decrypts to the tar that went in, says to whom it is, and finds nothing compressed in it;
// the exported secret half of either opens it here, and another's does not.
func TestOpenPGPMessage(t *testing.T) {
	t.Parallel()
	g := gpgtest.New(t)
	rsa, curve, stranger := g.Make("Alice", gpgtest.RSA), g.Make("Bob", gpgtest.Curve), g.Make("Mallory", gpgtest.Curve)
	keys := mustKeys(t, g.Public(rsa, curve))
	file := sealedBackup(t, smallManifest, sealOpenPGP(keys...))
	var tar bytes.Buffer
	plain := sealer(func(io.Writer) (io.WriteCloser, error) { return noClose{&tar}, nil })
	sealedBackup(t, smallManifest, plain)

	for name, by := range map[string]*gpgtest.Home{"Alice": holding(t, g.Secret(rsa)), "Bob": holding(t, g.Secret(curve))} {
		got, said, err := by.Try(file, "--decrypt")
		if err != nil || !bytes.Equal(got, tar.Bytes()) || strings.Contains(said, "WARNING") {
			t.Errorf("%s decrypts %d bytes of %d, or others: %v: %s", name, len(got), tar.Len(), err, said)
		}
	}
	if packets := string(g.Run(file, "--list-packets")); strings.Count(packets, ":pubkey enc packet:") != 2 || !strings.Contains(packets, "mdc_method: 2") ||
		!strings.Contains(packets, ":literal data packet:\n\tmode b (62), created 0, name=\"\"") || strings.Contains(packets, ":compressed packet:") {
		t.Errorf("it consists of\n%s", packets)
	}
	if !bytes.Contains(g.Run(file, "--show-session-key", "--decrypt", "--status-fd", "1", "--output", os.DevNull), []byte("SESSION_KEY 9:")) { // AES-256
		t.Error("it is not encrypted with AES-256")
	}
	for name, row := range map[string]struct {
		secret []byte
		want   string
	}{
		"RSA":               {g.Secret(rsa), rsa},
		"curve":             {g.Secret(curve), curve},
		"binary":            {g.Run(nil, "--export-secret-keys", curve), curve},
		"without its own":   {g.Run(nil, "--export-secret-subkeys", rsa), rsa},
		"among others":      {g.Run(nil, "--export-secret-keys", stranger, curve), curve},
		"after one another": {slices.Concat(g.Secret(stranger), g.Secret(rsa)), rsa},
	} {
		ids, err := ParseIdentities(string(row.secret))
		if err != nil || ids.Locked() {
			t.Errorf("%s: %v", name, err)
			continue
		}
		u, _, err := unpackBy(t, file, ids)
		if err != nil || u.Recipient != openPGPPrefix+row.want || u.Manifest.Host != "kt01" || u.Size != int64(len(file)) {
			t.Errorf("%s: %+v, %v", name, u, err)
		}
	}

	asked := fmt.Sprintf("no identity that was given opens it; they are those of openpgp:%s; it is an OpenPGP message to the keys 0x%016X, 0x%016X",
		stranger, keys[0].Subkeys[0].PublicKey.KeyId, keys[1].Subkeys[0].PublicKey.KeyId)
	ids, err := ParseIdentities(string(g.Secret(stranger)))
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = unpackBy(t, file, ids)
	if wrong, ok := errors.AsType[*StrangerError](err); !ok || wrong.Hint() == "" || !strings.Contains(err.Error(), asked) {
		t.Errorf("a stranger: %v, want %q", err, asked)
	}
	ofAnother := newIdentity(t)
	if _, _, err = unpackText(t, file, ofAnother); err == nil || !strings.Contains(err.Error(), "they are those of "+ofAnother.Recipient().String()+"; it is an OpenPGP message to the keys 0x") {
		t.Errorf("an identity of age: %v", err)
	}
	_, _, err = unpackBy(t, smallBackup(t, smallManifest, ofAnother.Recipient()), ids)
	if _, ok := errors.AsType[*StrangerError](err); !ok {
		t.Errorf("an OpenPGP key for a file of age: %v", err)
	}
}

type noClose struct{ io.Writer }

func (noClose) Close() error { return nil }

// holding is the keyring of who has one secret key.
func holding(t *testing.T, secret []byte) *gpgtest.Home {
	t.Helper()
	g := gpgtest.New(t)
	g.Run(secret, "--import")
	return g
}

// TestOpenPGPFromGPG: a backup that was decrypted and encrypted anew by gpg, to others, and signed, opens. One that is compressed, as gpg does
// it unless it is told not to, is refused before anything of it is unpacked: a small one fills a disk.
func TestOpenPGPFromGPG(t *testing.T) {
	t.Parallel()
	g := gpgtest.New(t)
	before, after := g.Make("Alice", gpgtest.Curve), g.Make("Bob", gpgtest.Curve)
	tar := g.Run(sealedBackup(t, smallManifest, sealOpenPGP(mustKeys(t, g.Public(before))...)), "--decrypt")
	ids, err := ParseIdentities(string(g.Secret(after)))
	if err != nil {
		t.Fatal(err)
	}
	for name, options := range map[string][]string{
		"as it does":   {"-z", "0", "-r", after, "-e"},
		"signed":       {"-z", "0", "-r", after, "-u", before, "-s", "-e"},
		"to somebody":  {"-z", "0", "--throw-keyids", "-r", after, "-e"},
		"its own form": {"--no-emit-version", "--compress-algo", "none", "-r", before, "-r", after, "-e"},
	} {
		u, _, err := unpackBy(t, g.Run(tar, options...), ids)
		if err != nil || u.Recipient != openPGPPrefix+after {
			t.Errorf("%s: %s, %v", name, u.Recipient, err)
		}
	}
	zeros := slices.Concat(tar[:len(tar)-2*512], make([]byte, 16<<20))
	for name, text := range map[string][]byte{
		"as its presets are": g.Run(tar, "-r", after, "-e"),
		"and signed":         g.Run(tar, "-r", after, "-u", before, "-s", "-e"),
		"zip":                g.Run(zeros, "--compress-algo", "zip", "-r", after, "-e"),
		"zlib":               g.Run(zeros, "--compress-algo", "zlib", "-r", after, "-e"),
		"bzip2":              g.Run(zeros, "--compress-algo", "bzip2", "-r", after, "-e"),
	} {
		_, _, err := unpackBy(t, text, ids)
		if _, damaged := errors.AsType[*DamageError](err); !damaged || !strings.Contains(err.Error(), "it is compressed, which is not read") {
			t.Errorf("compressed, %s, %d bytes: %v", name, len(text), err)
		}
	}
	for name, text := range map[string][]byte{
		"signed, and in clear":     g.Run(tar, "-z", "0", "-u", after, "-s"),
		"nothing but in a message": g.Run(tar, "-z", "0", "--store"),
	} {
		if _, _, err := unpackBy(t, text, ids); err == nil || !strings.Contains(err.Error(), "is not encrypted") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := unpackBy(t, g.Run(tar, "--passphrase", "x", "--symmetric"), ids); err == nil {
		t.Error("a passphrase: it opens without")
	}
}

// TestOpenPGPCipher: a message is encrypted with AES-256 also where the preferences of a recipient's key name weaker ciphers alone, or none, and gpg opens it.
func TestOpenPGPCipher(t *testing.T) {
	t.Parallel()
	g := gpgtest.New(t)
	good := g.Make("Alice", gpgtest.Curve)
	for name, preferences := range map[string]string{"AES-128": "AES SHA256", "triple DES": "3DES SHA256", "nothing": "none"} {
		other := g.Make(name, gpgtest.RSA, "--default-preference-list", preferences)
		file := sealedBackup(t, smallManifest, sealOpenPGP(mustKeys(t, g.Public(good, other))...))
		by := holding(t, g.Secret(other))
		said := by.Run(file, "--show-session-key", "--decrypt", "--status-fd", "1", "--output", os.DevNull)
		if !bytes.Contains(said, []byte("SESSION_KEY 9:")) || !bytes.Contains(said, []byte("DECRYPTION_OKAY")) {
			t.Errorf("a key that prefers %s: gpg says %s", name, said)
		}
	}
}

// framed is an OpenPGP message by its parts: the packets of its recipients, and what is encrypted, in one piece.
type framed struct {
	recipients [][]byte
	sealed     []byte // from the number of its version on
}

func frame(t *testing.T, text []byte) (f framed) {
	t.Helper()
	length := func(p []byte) (n, head int, partial bool) {
		switch {
		case p[0] < 192:
			return int(p[0]), 1, false
		case p[0] < 224:
			return int(p[0]-192)<<8 + int(p[1]) + 192, 2, false
		case p[0] < 255:
			return 1 << (p[0] & 31), 1, true
		}
		return int(binary.BigEndian.Uint32(p[1:])), 5, false
	}
	for text[0] == 0xC0|1 {
		n, head, _ := length(text[1:])
		f.recipients = append(f.recipients, text[:1+head+n])
		text = text[1+head+n:]
	}
	if text[0] != 0xC0|18 {
		t.Fatalf("a packet begins with %#x", text[0])
	}
	for text = text[1:]; ; {
		n, head, partial := length(text)
		f.sealed = append(f.sealed, text[head:head+n]...)
		if text = text[head+n:]; !partial {
			break
		}
	}
	if len(text) > 0 {
		t.Fatalf("%d bytes come after it", len(text))
	}
	return f
}

// packetOf is a packet in one piece.
func packetOf(tag byte, content []byte) []byte {
	return slices.Concat([]byte{0xC0 | tag, 255}, binary.BigEndian.AppendUint32(nil, uint32(len(content))), content)
}

func (f framed) with(packets ...[]byte) []byte {
	return slices.Concat(append(f.recipients, packets...)...)
}

// TestOpenPGPDamaged: whatever was done to a message, it is refused, and nothing of it is left; also where its digest of changes alone shows it.
func TestOpenPGPDamaged(t *testing.T) {
	t.Parallel()
	own, other := newKey(t), newKey(t)
	whole := sealedBackup(t, smallManifest, sealOpenPGP(other, own))
	ids := Identities{keys: openpgp.EntityList{own}}
	want, _, err := unpackBy(t, whole, ids)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(name string, text []byte, want string) {
		t.Helper()
		_, _, err := unpackBy(t, text, ids)
		_, damaged := errors.AsType[*DamageError](err)
		_, stranger := errors.AsType[*StrangerError](err)
		if !damaged && !stranger || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f := frame(t, whole)
	heads := len(f.recipients[0]) + len(f.recipients[1])
	flipped := func(at int, bit byte) []byte {
		text := slices.Clone(whole)
		text[at] ^= bit
		return text
	}

	// What lets somebody in holds no content, and OpenPGP has nothing that would show a change of it: a change locks one out, or does nothing.
	taken := map[bool]int{}
	for at := range heads {
		u, _, err := unpackBy(t, flipped(at, 0x04), ids)
		if err == nil && !slices.Equal(u.Trailer.Streams, want.Trailer.Streams) {
			t.Errorf("a bit of what lets one in, at %d, changes what is unpacked", at)
		} else if err == nil {
			taken[at >= len(f.recipients[0])]++
		}
	}
	if taken[true] > 2 { // how long a number is in bits, and how it begins, say nothing
		t.Errorf("%d bits of what lets one in can be others", taken[true])
	}
	for at := heads; at < heads+120; at++ { // the head, its length, the version, what the cipher begins with, the manifest
		refused(fmt.Sprintf("a bit of the head, at %d", at), flipped(at, []byte{0x01, 0x10, 0x80}[at%3]), "")
	}
	for at := heads + 120; at < len(whole)-60; at += 9001 {
		refused(fmt.Sprintf("a bit, at %d", at), flipped(at, 0x10), "")
	}
	for at := len(whole) - 60; at < len(whole); at++ { // with the digest of changes
		refused(fmt.Sprintf("a bit of the end, at %d", at), flipped(at, 0x01), "")
	}
	for n := range 30 {
		refused(fmt.Sprintf("cut by %d", n+1), whole[:len(whole)-n-1], "")
	}
	for _, n := range []int{1, 10, len(f.recipients[0]), len(f.recipients[0]) + 1, heads, heads + 1, heads + 2, heads + 3, heads + 21, heads + 100, heads + 70_000, len(whole) / 2} {
		refused(fmt.Sprintf("cut after %d", n), whole[:n], "")
	}
	refused("what comes after it", append(slices.Clone(whole), 0), "")
	refused("another message after it", slices.Concat(whole, whole), "")
	refused("a literal packet after it", slices.Concat(whole, packetOf(11, []byte("b\x00\x00\x00\x00\x00more"))), "")

	const digest = 22 // and what says so, as long as it is encrypted
	if u, _, err := unpackBy(t, f.with(packetOf(18, f.sealed)), ids); err != nil || !slices.Equal(u.Trailer.Streams, want.Trailer.Streams) {
		t.Fatalf("in one piece: %v", err)
	}
	refused("its digest was cut off", f.with(packetOf(18, f.sealed[:len(f.sealed)-digest])), "")
	refused("it says that it never had one", f.with(packetOf(9, f.sealed[1:])), "not integrity protected")
	refused("it says that, and has lost it", f.with(packetOf(9, f.sealed[1:len(f.sealed)-digest])), "not integrity protected")
	refused("a block was cut out", f.with(packetOf(18, slices.Delete(slices.Clone(f.sealed), 100_000, 100_016))), "")
	refused("a block is there twice", f.with(packetOf(18, slices.Insert(slices.Clone(f.sealed), 100_000, f.sealed[99_984:100_000]...))), "")
	refused("nobody can read it", packetOf(18, f.sealed), "")
	refused("its own key was cut out", slices.Concat(f.recipients[0], packetOf(18, f.sealed)), "it is an OpenPGP message to the keys 0x")

	// A bit that no sum of ours covers, between two members: the digest alone shows it. Like all that it shows, it does so at the end.
	padding := sealedWith(t, own)
	at := bytes.Index(padding.plain, []byte("}\n\x00\x00")) + 3
	if at < 3 {
		t.Fatal("there is nothing between the members")
	}
	text := slices.Clone(padding.sealed)
	text[1+18+padding.head+at] ^= 0x20
	if _, _, err := unpackBy(t, padding.with(packetOf(18, text)), ids); err == nil {
		t.Error("a bit between two members: it is taken")
	}
	if manifest := changed(t, padding, ids, text); manifest.Host != "kt01" {
		t.Errorf("what it says before that is %+v", manifest)
	}
}

// changed is the manifest at the beginning of a message that was changed behind it.
func changed(t *testing.T, p sealedPlain, ids Identities, sealed []byte) Manifest {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.ktb")
	if err := os.WriteFile(path, p.with(packetOf(18, sealed)), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, _, err := ReadManifest(t.Context(), f, ids)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// sealedPlain is a message to one key, and what is in it.
type sealedPlain struct {
	framed
	plain []byte
	head  int // how long what is before the content is, within what is encrypted
}

func sealedWith(t *testing.T, to *openpgp.Entity) (p sealedPlain) {
	t.Helper()
	var tar bytes.Buffer
	sealedBackup(t, smallManifest, func(io.Writer) (io.WriteCloser, error) { return noClose{&tar}, nil })
	p.plain = tar.Bytes()
	literal := packetOf(11, slices.Concat([]byte("b\x00\x00\x00\x00\x00"), p.plain))
	p.head = len(literal) - len(p.plain)
	part, err := to.EncryptionKeyWithError(openPGPConfig().Now(), openPGPConfig())
	if err != nil {
		t.Fatal(err)
	}
	session := bytes.Repeat([]byte{7}, 32)
	var head, sealed bytes.Buffer
	if err := packet.SerializeEncryptedKey(&head, part.PublicKey, packet.CipherAES256, session, openPGPConfig()); err != nil {
		t.Fatal(err)
	}
	w, err := packet.SerializeSymmetricallyEncrypted(&sealed, packet.CipherAES256, false, packet.CipherSuite{}, session, openPGPConfig())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(literal); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	p.framed = frame(t, slices.Concat(head.Bytes(), sealed.Bytes()))
	return p
}

func newKey(t *testing.T) *openpgp.Entity {
	t.Helper()
	key, err := newOpenPGPKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestOpenPGPStreams: however much is written at once, it goes on in small parts, so that no backup is held in memory.
func TestOpenPGPStreams(t *testing.T) {
	t.Parallel()
	var seen widest
	w, err := sealOpenPGP(newKey(t))(&seen)
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if _, err := w.Write(make([]byte, memberSize)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil || seen.all < 4*memberSize || seen.most > 256<<10 {
		t.Errorf("at most %d bytes of %d at once, %v", seen.most, seen.all, err)
	}
}

type widest struct{ most, all int }

func (w *widest) Write(p []byte) (int, error) {
	w.most, w.all = max(w.most, len(p)), w.all+len(p)
	return len(p), nil
}

// TestOpenPGPBrokenOff: where reading a message fails, or is broken off, that is what is said, and not that it is damaged.
func TestOpenPGPBrokenOff(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	text := sealedBackup(t, smallManifest, sealOpenPGP(key))
	ids := Identities{keys: openpgp.EntityList{key}}
	for _, after := range []int{0, 10, len(text) / 2, len(text) - 1, len(text)} {
		broken := fmt.Errorf("reading: %w", os.ErrDeadlineExceeded)
		_, err := unpackFrom(t.Context(), io.MultiReader(bytes.NewReader(text[:after]), failingReader{&os.PathError{Op: "read", Path: "x", Err: broken}}), "x", ids, Origin{Key: clusterKey}, filepath.Join(t.TempDir(), "work"))
		if _, damaged := errors.AsType[*DamageError](err); damaged || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a disk that fails after %d bytes: %v", after, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := unpackFrom(ctx, io.MultiReader(bytes.NewReader(text[:len(text)/2]), calling(cancel), bytes.NewReader(text[len(text)/2:])), "x", ids, Origin{Key: clusterKey}, filepath.Join(t.TempDir(), "work"))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("broken off: %v", err)
	}
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

type calling func()

func (c calling) Read([]byte) (int, error) { c(); return 0, io.EOF }

// FuzzOpenPGPMessage: nothing that lies where a backup should makes this program end.
func FuzzOpenPGPMessage(f *testing.F) {
	key, err := newOpenPGPKey()
	if err != nil {
		f.Fatal(err)
	}
	var text bytes.Buffer
	w, err := sealOpenPGP(key)(&text)
	if err != nil {
		f.Fatal(err)
	}
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(text.Bytes())
	f.Add([]byte{0xC0 | 18, 1, 2})
	ids := Identities{keys: openpgp.EntityList{key}}
	f.Fuzz(func(t *testing.T, text []byte) {
		if plain, _, err := ids.open(bytes.NewReader(text)); err == nil {
			io.Copy(io.Discard, plain)
		}
	})
}

// BenchmarkSealing compares what encrypts backups, and what opens them.
func BenchmarkSealing(b *testing.B) {
	of, err := age.GenerateX25519Identity()
	if err != nil {
		b.Fatal(err)
	}
	key, err := newOpenPGPKey()
	if err != nil {
		b.Fatal(err)
	}
	part := make([]byte, memberSize)
	for name, row := range map[string]struct {
		seal sealer
		ids  Identities
	}{"age": {sealAge(of.Recipient()), ofAge(of)}, "OpenPGP": {sealOpenPGP(key), Identities{keys: openpgp.EntityList{key}}}} {
		sealed := func(b *testing.B, to io.Writer, n int) {
			w, err := row.seal(to)
			if err != nil {
				b.Fatal(err)
			}
			for range n {
				if _, err := w.Write(part); err != nil {
					b.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(name+"/encrypt", func(b *testing.B) {
			b.SetBytes(memberSize)
			sealed(b, io.Discard, b.N)
		})
		b.Run(name+"/decrypt", func(b *testing.B) {
			const parts = 8
			var file bytes.Buffer
			sealed(b, &file, parts)
			b.SetBytes(parts * memberSize)
			b.ResetTimer()
			for range b.N {
				plain, _, err := row.ids.open(bytes.NewReader(file.Bytes()))
				if err != nil {
					b.Fatal(err)
				}
				if n, err := io.Copy(io.Discard, plain); err != nil || n != parts*memberSize {
					b.Fatal(n, err)
				}
			}
		})
	}
}
