package backup

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// unpackTar unpacks a tar within a backup into the directory, which nothing of it leaves. The files are not synced.
func unpackTar(r io.Reader, root *os.Root, dir string) error {
	if err := root.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	in, err := root.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer in.Close()
	t := tar.NewReader(r)
	for {
		header, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := unpackMember(in, header, t); err != nil {
			return fmt.Errorf("unpacking %q: %w", header.Name, err)
		}
	}
}

// sparse reports whether a member says that it is longer than what lies in the tar: a few bytes of it would fill any disk. Nothing that
// makes a backup writes one.
func sparse(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return h.Typeflag == tar.TypeGNUSparse
}

var errSparse = errors.New("it is sparse")

func unpackMember(in *os.Root, header *tar.Header, content io.Reader) error {
	name := path.Clean(header.Name)
	if !filepath.IsLocal(name) {
		return errors.New("it lies outside")
	}
	if sparse(header) {
		return errSparse
	}
	switch header.Typeflag {
	case tar.TypeDir:
		return in.MkdirAll(name, 0o700)
	case tar.TypeReg:
		if err := in.MkdirAll(path.Dir(name), 0o700); err != nil { // a tar of files alone names no directory
			return err
		}
		return unpackFile(in, name, content)
	}
	return errors.New("it is neither a file nor a directory")
}

func unpackFile(in *os.Root, name string, content io.Reader) (err error) {
	f, err := in.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = io.Copy(f, content)
	return err
}
