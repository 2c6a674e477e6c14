package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// smallBackup is a backup whose streams are made up: no server is in it.
func smallBackup(t *testing.T, m Manifest, recipients ...age.Recipient) []byte {
	t.Helper()
	return sealedBackup(t, m, sealAge(recipients...))
}

func sealedBackup(t *testing.T, m Manifest, seal sealer) []byte {
	t.Helper()
	return sealedBackupBy(t, clusterKey, m, seal)
}

func sealedBackupBy(t *testing.T, by Authenticator, m Manifest, seal sealer) []byte {
	t.Helper()
	var file bytes.Buffer
	a, err := newArchive(&file, m, seal)
	if err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 200_000) // of several chunks of age
	rand.NewChaCha8([32]byte{}).Read(noise)
	for name, fill := range smallStreams(noise) {
		if err := a.stream(name, fill); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, _, err := a.close(Count{Keys: 1}, by); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func smallStreams(noise []byte) func(yield func(string, func(io.Writer) error) bool) {
	bytesOf := func(content []byte) func(io.Writer) error {
		return func(w io.Writer) error { _, err := w.Write(content); return err }
	}
	return func(yield func(string, func(io.Writer) error) bool) {
		_ = yield("changes.copy", bytesOf(nil)) && yield("keys.copy", bytesOf(nil)) && yield("versions.copy", bytesOf(nil)) &&
			yield(globalsStream, bytesOf([]byte("create role ktrepl;\n"))) && yield(dumpStream, bytesOf(noise)) &&
			yield(baseStream, func(w io.Writer) error {
				t := tar.NewWriter(w)
				for _, h := range []*tar.Header{{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755}, {Name: "global/", Typeflag: tar.TypeDir, Mode: 0o755},
					{Name: "global/1260", Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(noise))}} {
					if err := t.WriteHeader(h); err != nil {
						return err
					}
				}
				_, err := t.Write(noise)
				return errors.Join(err, t.Close())
			}) &&
			yield(configStream, func(w io.Writer) error {
				return tarFiles(w, map[string][]byte{".keytrustee/kek/ab/cd.wrap": []byte("{}"), "node/node.yaml": []byte("name: kt01\n")}, time.Time{})
			})
	}
}

var smallManifest = Manifest{
	Format: Format, Facts: Facts{Product: "0", Host: "kt01"}, Started: time.Date(2026, 11, 29, 15, 0, 0, 0, time.UTC), Recipients: []string{"a", "b"},
}

func unpackText(t *testing.T, text []byte, keys ...interface{ String() string }) (Unpacked, string, error) {
	t.Helper()
	return unpackTextOf(t, Origin{Key: clusterKey}, text, keys...)
}

func unpackTextOf(t *testing.T, origin Origin, text []byte, keys ...interface{ String() string }) (Unpacked, string, error) {
	t.Helper()
	var lines strings.Builder
	for _, k := range keys {
		lines.WriteString(k.String() + "\n")
	}
	ids, err := ParseIdentities(lines.String())
	if err != nil {
		t.Fatal(err)
	}
	return unpackOf(t, origin, text, ids)
}

func unpackBy(t *testing.T, text []byte, ids Identities) (Unpacked, string, error) {
	t.Helper()
	return unpackOf(t, Origin{Key: clusterKey}, text, ids)
}

func unpackOf(t *testing.T, origin Origin, text []byte, ids Identities) (Unpacked, string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.ktb")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dir := filepath.Join(filepath.Dir(path), "work")
	u, err := Unpack(t.Context(), f, ids, origin, dir, nil)
	if _, there := os.Lstat(dir); err != nil && !errors.Is(there, fs.ErrNotExist) {
		t.Errorf("after the error %v there is %s: %v", err, dir, there)
	}
	return u, dir, err
}

// TestUnpack: the identity of any recipient opens a backup, of either kind, and it lies there as it went in, closed to others.
func TestUnpack(t *testing.T) {
	stranger, first, second := newIdentity(t), newIdentity(t), newIdentity(t)
	classic := smallBackup(t, smallManifest, first.Recipient(), second.Recipient())
	h1, h2 := newHybrid(t), newHybrid(t)
	hybrid := smallBackup(t, smallManifest, h1.Recipient(), h2.Recipient())
	for name, row := range map[string]struct {
		text []byte
		keys []interface{ String() string }
		want string
	}{
		"the first":         {classic, []interface{ String() string }{first}, first.Recipient().String()},
		"the second":        {classic, []interface{ String() string }{second}, second.Recipient().String()},
		"among others":      {classic, []interface{ String() string }{h1, stranger, second}, second.Recipient().String()},
		"post-quantum":      {hybrid, []interface{ String() string }{h1}, h1.Recipient().String()},
		"post-quantum, too": {hybrid, []interface{ String() string }{stranger, h2}, h2.Recipient().String()},
	} {
		u, dir, err := unpackText(t, row.text, row.keys...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		sum := sha256.Sum256(row.text)
		if u.Recipient != row.want || u.Size != int64(len(row.text)) || u.SHA256 != hex.EncodeToString(sum[:]) || u.Manifest.Host != "kt01" || u.Trailer.Rows.Keys != 1 {
			t.Errorf("%s: %+v", name, u)
		}
		for file, size := range map[string]int64{"data/global/1260": 200_000, "config/.keytrustee/kek/ab/cd.wrap": 2, "config/node/node.yaml": 11, dumpStream: 200_000, globalsStream: 20, "changes.copy": 0, "keys.copy": 0, "versions.copy": 0} {
			info, err := os.Stat(filepath.Join(dir, file))
			if err != nil || info.Size() != size || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %s: %v, %v", name, file, info, err)
			}
		}
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	_, _, err := unpackText(t, classic, stranger)
	wrong, ok := errors.AsType[*StrangerError](err)
	if !ok || wrong.Hint() == "" || !strings.Contains(err.Error(), "opening the backup x.ktb: no identity that was given opens it; they are those of "+stranger.Recipient().String()) {
		t.Errorf("a stranger: %v", err)
	}
}

// TestUnpackDamaged: whatever was done to a file, it is refused as damaged, and nothing of it is left.
func TestUnpackDamaged(t *testing.T) {
	key := newIdentity(t)
	whole := smallBackup(t, smallManifest, newIdentity(t).Recipient(), key.Recipient())
	payload := bytes.Index(whole, []byte("\n---")) + 48 + 16 + 1 // the line of the header's sum, and the nonce
	const chunk = 64<<10 + 16                                    // of age, encrypted
	damaged := func(name string, text []byte, want string) {
		t.Helper()
		_, _, err := unpackText(t, text, key)
		damage, ok := errors.AsType[*DamageError](err)
		if !ok || damage.Name != "x.ktb" || damage.Hint() == "" || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	damaged("nothing", nil, "it ends after 0 bytes")
	damaged("something else", bytes.Repeat([]byte("nothing of age\n"), 100), "it is neither a file of age nor an OpenPGP message")
	damaged("what comes after it", append(slices.Clone(whole), 0), "")
	for _, n := range []int{1, 10, 30, payload - 20, payload, payload + 1, payload + 100, payload + chunk - 1, payload + chunk, payload + chunk + 1, payload + 5*chunk, len(whole) - 1} {
		damaged("cut", whole[:n], "")
	}
	for at := payload - 60; at < len(whole); at += 4099 {
		text := slices.Clone(whole)
		text[at] ^= 0x10
		damaged("flipped", text, "")
	}
	swapped := slices.Clone(whole)
	copy(swapped[payload+chunk:], whole[payload+2*chunk:payload+3*chunk])
	copy(swapped[payload+2*chunk:], whole[payload+chunk:payload+2*chunk])
	damaged("two chunks swapped", swapped, "decrypt")
	damaged("a chunk missing", append(slices.Clone(whole[:payload+chunk]), whole[payload+2*chunk:]...), "decrypt")
	damaged("a chunk twice", slices.Concat(whole[:payload+2*chunk], whole[payload+chunk:]), "decrypt")

	// Whoever has the recipients can write such a file; the sums within are held nevertheless.
	for name, row := range map[string]struct {
		change func(name string, content []byte) []byte
		want   string
	}{
		"a stream is another": {func(name string, content []byte) []byte {
			if name == "dump.pgc.000000" {
				content[17] ^= 1
			}
			return content
		}, "its streams are not what its trailer says"},
		"another number of its form at the end": {func(name string, content []byte) []byte {
			if name == trailerMember {
				return bytes.Replace(content, []byte(`"format": 1`), []byte(`"format": 2`), 1)
			}
			return content
		}, "its streams are not what its trailer says"},
		"a trailer that is none": {func(name string, content []byte) []byte {
			if name == trailerMember {
				return content[1:]
			}
			return content
		}, "its trailer: "},
		"a manifest that is none": {func(name string, content []byte) []byte {
			if name == manifestMember {
				return content[1:]
			}
			return content
		}, "its manifest: "},
		"no number of its form": {func(name string, content []byte) []byte {
			if name == manifestMember {
				return bytes.Replace(content, []byte(`"format": 1`), []byte(`"format": 0`), 1)
			}
			return content
		}, "its manifest has the format 0"},
	} {
		damaged(name, rewritten(t, whole, key, row.change), row.want)
	}
}

// rewritten is a backup whose members were changed, and that is encrypted again.
func rewritten(t *testing.T, text []byte, key *age.X25519Identity, change func(name string, content []byte) []byte) []byte {
	t.Helper()
	plain, err := age.Decrypt(bytes.NewReader(text), key)
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	sealed, err := age.Encrypt(&file, key.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	in, out := tar.NewReader(plain), tar.NewWriter(sealed)
	for {
		header, err := in.Next()
		if err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		content = change(header.Name, content)
		header.Size = int64(len(content))
		if err := out.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(out.Close(), sealed.Close()); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// TestUnpackNewer: a backup of a newer form is not damaged, and the error says which version reads it, whatever else that form has.
func TestUnpackNewer(t *testing.T) {
	key := newIdentity(t)
	newer := rewritten(t, smallBackup(t, smallManifest, key.Recipient()), key, func(name string, content []byte) []byte {
		if name != manifestMember {
			return content
		}
		text, err := json.Marshal(map[string]any{"format": 2, "product_version": "9.1", "timeline": "another thing"})
		if err != nil {
			t.Fatal(err)
		}
		return text
	})
	_, _, err := unpackText(t, newer, key)
	if setup, ok := errors.AsType[*postgres.SetupError](err); !ok || setup.Hint() == "" || !strings.Contains(err.Error(), `the format 2, of keytrustee "9.1", and this version reads 1`) {
		t.Errorf("error %v", err)
	}
}

// TestUnpackIsInterrupted: nothing is left then, and the backup is not called damaged.
func TestUnpackIsInterrupted(t *testing.T) {
	key := newIdentity(t)
	dir := pgtest.Dir(t)
	path := filepath.Join(dir, "x.ktb")
	if err := os.WriteFile(path, smallBackup(t, smallManifest, key.Recipient()), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ids, err := ParseIdentities(key.String())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	work := filepath.Join(dir, "work")
	if _, err := Unpack(ctx, f, ids, Origin{Key: clusterKey}, work, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Lstat(work); !errors.Is(err, fs.ErrNotExist) {
		t.Error("something is left")
	}
	if err := os.Mkdir(work, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Unpack(t.Context(), f, ids, Origin{Key: clusterKey}, work, nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a directory that is there: %v", err)
	}
	if _, err := os.Lstat(work); err != nil {
		t.Error("it was removed")
	}
}
