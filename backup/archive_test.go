package backup

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
)

func newIdentity(t *testing.T) *age.X25519Identity {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return identity
}

func ofAge(key *age.X25519Identity) Identities {
	return Identities{list: []identity{{key, key.Recipient().String()}}}
}

// TestArchive: streams of no bytes, of exactly a member and of several come back as they were.
func TestArchive(t *testing.T) {
	identity := newIdentity(t)
	content := make([]byte, 2*memberSize+17)
	rand.NewChaCha8([32]byte{}).Read(content)
	streams := map[string][]byte{"none": nil, "one": content[:1], "exactly": content[:memberSize], "two": content[:2*memberSize], "more": content}
	order := []string{"none", "one", "exactly", "two", "more"}

	m := Manifest{Format: Format, Started: time.Date(2026, 11, 29, 15, 0, 0, 0, time.UTC), Recipients: []string{"a", "b"}}
	var file bytes.Buffer
	a, err := newArchive(&file, m, sealAge(identity.Recipient()))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range order {
		if err := a.stream(name, func(w io.Writer) error {
			for part := range slices.Chunk(streams[name], 100_003) {
				if _, err := w.Write(part); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	trailer, size, _, err := a.close(Count{Keys: 3}, nil)
	if err != nil || size != int64(file.Len()) {
		t.Fatalf("%d bytes of %d, %v", size, file.Len(), err)
	}

	r, manifest, err := openArchive(&file, ofAge(identity))
	if err != nil || !sameJSON(manifest, m) {
		t.Fatalf("the manifest is %s, %v", manifest, err)
	}
	for _, name := range order {
		if err := r.stream(name, func(in io.Reader) error {
			got, err := io.ReadAll(in)
			if !bytes.Equal(got, streams[name]) {
				t.Errorf("%s has %d bytes, or others", name, len(got))
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	text, _, err := r.close()
	if err != nil || !sameJSON(text, trailer) || !slices.Equal(trailer.Streams, r.done) {
		t.Errorf("the trailer is %s, %v", text, err)
	}
}

// TestArchiveFailsAsItsFile: an error of the disk is what is reported, whatever the program says that could not go on.
func TestArchiveFailsAsItsFile(t *testing.T) {
	full := errors.New("full")
	a, err := newArchive(&limited{left: 1 << 20, err: full}, Manifest{}, sealAge(newIdentity(t).Recipient()))
	if err != nil {
		t.Fatal(err)
	}
	defer a.end()
	err = a.stream("base.tar", func(w io.Writer) error {
		part := make([]byte, 1<<20)
		for range 64 {
			if _, err := w.Write(part); err != nil {
				return errors.New("pg_basebackup: broken pipe")
			}
		}
		return nil
	})
	if !errors.Is(err, full) {
		t.Errorf("error %v", err)
	}
}

type limited struct {
	left int
	err  error
}

func (l *limited) Write(p []byte) (int, error) {
	if len(p) > l.left {
		return 0, l.err
	}
	l.left -= len(p)
	return len(p), nil
}

// TestArchiveOutOfOrder: a backup whose members are not in their places is refused, also where each of them is whole.
func TestArchiveOutOfOrder(t *testing.T) {
	identity := newIdentity(t)
	whole := []string{"manifest.json", "a.000000", "a.000001", "b.000000", "trailer.json"}
	for name, row := range map[string]struct {
		members []string
		want    string // empty: fine
	}{
		"whole":             {whole, ""},
		"no manifest":       {whole[1:], "manifest.json is not in its place"},
		"nothing":           {nil, "manifest.json is not in its place"},
		"a stream missing":  {[]string{"manifest.json", "b.000000", "trailer.json"}, "a is not in its place"},
		"its first missing": {[]string{"manifest.json", "a.000001", "b.000000", "trailer.json"}, "a is not in its place"},
		"swapped":           {[]string{"manifest.json", "a.000001", "a.000000", "b.000000", "trailer.json"}, "a is not in its place"},
		"one twice":         {[]string{"manifest.json", "a.000000", "a.000000", "b.000000", "trailer.json"}, "b is not in its place"},
		"streams swapped":   {[]string{"manifest.json", "b.000000", "a.000000", "trailer.json"}, "a is not in its place"},
		"something between": {[]string{"manifest.json", "a.000000", "b.000000", "c.000000", "trailer.json"}, `"c.000000" is not in its place`},
		"no trailer":        {whole[:4], "trailer.json is not in its place"},
		"something after":   {append(slices.Clone(whole), "c.000000"), "something comes after the trailer"},
		"authenticated":     {append(slices.Clone(whole), authenticationMember), ""},
		"twice":             {append(slices.Clone(whole), authenticationMember, authenticationMember), "something comes after the trailer"},
		"too early":         {[]string{"manifest.json", "a.000000", "b.000000", authenticationMember, "trailer.json"}, `"authentication.json" is not in its place`},
		"a directory":       {[]string{"manifest.json", "a/", "trailer.json"}, "is no file"},
	} {
		var file bytes.Buffer
		sealed, err := age.Encrypt(&file, identity.Recipient())
		if err != nil {
			t.Fatal(err)
		}
		w := tar.NewWriter(sealed)
		for _, member := range row.members {
			header := &tar.Header{Name: member, Size: 2, Mode: 0o600, Typeflag: tar.TypeReg}
			if strings.HasSuffix(member, "/") {
				header.Size, header.Typeflag = 0, tar.TypeDir
			}
			if err := w.WriteHeader(header); err != nil {
				t.Fatal(err)
			}
			if header.Size > 0 {
				io.WriteString(w, "{}")
			}
		}
		if err := errors.Join(w.Close(), sealed.Close()); err != nil {
			t.Fatal(err)
		}
		err = readAll(&file, identity)
		if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q", name, err, row.want)
		}
	}
}

func readAll(file io.Reader, identity *age.X25519Identity) error {
	r, _, err := openArchive(file, ofAge(identity))
	if err != nil {
		return err
	}
	for _, name := range []string{"a", "b"} {
		if err := r.stream(name, func(io.Reader) error { return nil }); err != nil {
			return err
		}
	}
	_, _, err = r.close()
	return err
}

func rootOf(t *testing.T, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

// TestUnpackStaysInside: a tar that names places outside, or anything but files and directories, is refused.
func TestUnpackStaysInside(t *testing.T) {
	for _, header := range []tar.Header{
		{Name: "../out", Typeflag: tar.TypeReg}, {Name: "/out", Typeflag: tar.TypeReg}, {Name: "a/../../out", Typeflag: tar.TypeReg},
		{Name: "link", Linkname: "/etc", Typeflag: tar.TypeSymlink}, {Name: "hard", Linkname: "in", Typeflag: tar.TypeLink}, {Name: "fifo", Typeflag: tar.TypeFifo},
	} {
		root := rootOf(t, t.TempDir())
		var file bytes.Buffer
		w := tar.NewWriter(&file)
		if err := errors.Join(w.WriteHeader(&tar.Header{Name: "./", Typeflag: tar.TypeDir}), w.WriteHeader(&header), w.Close()); err != nil {
			t.Fatal(err)
		}
		if err := unpackTar(&file, root, "data"); err == nil || !strings.Contains(err.Error(), header.Name) {
			t.Errorf("%s: %v", header.Name, err)
		}
	}
}
