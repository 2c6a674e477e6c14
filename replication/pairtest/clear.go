package pairtest

import (
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// WatchFor has the node's disk look for these secrets in everything that is written below the service's home from now on: as they are, in
// hexadecimal digits, and in both alphabets of base64. What was seen of them before counts no longer. The pair has to be Forgetful.
func (n *Node) WatchFor(t testing.TB, secrets ...[]byte) {
	t.Helper()
	for _, secret := range secrets {
		n.askDisk(t, "watch "+hex.EncodeToString(secret), "watching")
	}
}

// WrittenInClear are the files in which one of the secrets, each of which WatchFor was told, was written, by the names that they have by now.
func (n *Node) WrittenInClear(t testing.TB, secrets ...[]byte) (files []string) {
	t.Helper()
	for _, secret := range secrets {
		answer, err := n.disk(t)("seen? " + hex.EncodeToString(secret))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, strings.FieldsFunc(answer, func(r rune) bool { return r == 0 })...)
	}
	slices.Sort(files)
	return slices.Compact(files)
}

// LiesInClear looks for secrets in all that lies on the node now, below the service's home and wherever else a program may write. files are
// those that have one of the secrets it is given, each of which was looked for.
func (n *Node) LiesInClear(t testing.TB, secrets ...[]byte) (files func(secrets ...[]byte) []string) {
	t.Helper()
	size, w := int64(0), newWatch()
	for _, secret := range secrets {
		w.lookFor(secret)
	}
	for _, dir := range []string{home, "/run", "/tmp", "/var/log", "/var/tmp"} {
		read, err := w.readAll(n.File(dir), dir)
		if err != nil {
			t.Fatal(err)
		}
		size += read
	}
	t.Logf("%d files of %d MiB on %s", len(w.files(secrets...)), size>>20, n.Name)
	return w.files
}

// readAll looks at every file below dir, which it calls name, and returns how many bytes it has read. Files may come and go meanwhile.
func (w *watch) readAll(dir, name string) (size int64, err error) {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return gone(err)
		}
		f, err := root.Open(path)
		if err != nil {
			return gone(err)
		}
		defer f.Close()
		n, err := io.Copy(&stream{watch: w, file: filepath.Join(name, path)}, f)
		size += n
		return err
	})
	return size, err
}

// gone is nil for an error that only says that a file is not there any more.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
