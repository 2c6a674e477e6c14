package backup

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
)

// maxJSON is the longest manifest or trailer that is read.
const maxJSON = 1 << 20

// reading is a backup that is read, from its beginning to its end: the manifest, stream after stream, the trailer, the authentication.
type reading struct {
	opened string // whose identity has
	plain  io.Reader
	tar    *tar.Reader
	header *tar.Header // of the member that comes next; nil: there is none
	done   []Stream
}

// ageMagic begins every file of age.
const ageMagic = "age-encryption.org/"

// openArchive reads the manifest of a backup.
func openArchive(file io.Reader, ids Identities) (r *reading, manifest []byte, err error) {
	plain, opened, err := ids.open(file)
	if err != nil {
		return nil, nil, err
	}
	r = &reading{opened: opened, plain: plain, tar: tar.NewReader(plain)}
	if err := r.advance(); err != nil {
		return nil, nil, err
	}
	manifest, err = r.whole(manifestMember)
	return r, manifest, err
}

// advance goes to the next member.
func (r *reading) advance() (err error) {
	r.header, err = r.tar.Next()
	if errors.Is(err, io.EOF) {
		r.header, err = nil, nil
	}
	switch {
	case err != nil || r.header == nil:
		return err
	case sparse(r.header):
		return fmt.Errorf("the member %q: %w", r.header.Name, errSparse)
	case r.header.Typeflag != tar.TypeReg:
		return fmt.Errorf("the member %q is no file", r.header.Name)
	case r.header.Size > memberSize:
		return fmt.Errorf("the member %q has %d bytes", r.header.Name, r.header.Size)
	}
	return nil
}

// is reports whether the next member has that name.
func (r *reading) is(name string) bool { return r.header != nil && r.header.Name == name }

// whole reads a member that is not part of a stream.
func (r *reading) whole(name string) ([]byte, error) {
	if !r.is(name) {
		return nil, fmt.Errorf("%s is not in its place", name)
	}
	if r.header.Size > maxJSON {
		return nil, fmt.Errorf("%s has %d bytes", name, r.header.Size)
	}
	text, err := io.ReadAll(r.tar)
	if err != nil {
		return nil, err
	}
	return text, r.advance()
}

// stream hands the next stream, which has to be of that name, to use, and reads what use has left of it.
func (r *reading) stream(name string, use func(io.Reader) error) error {
	s := &streamReader{reading: r, name: name, sum: sha256.New()}
	if !r.is(memberName(name, 0)) {
		return fmt.Errorf("%s is not in its place", name)
	}
	if err := use(s); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if _, err := io.Copy(io.Discard, s); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	r.done = append(r.done, Stream{Name: name, Size: s.size, SHA256: hex.EncodeToString(s.sum.Sum(nil))})
	return nil
}

// streamReader joins the members of a stream.
type streamReader struct {
	*reading
	name  string
	sum   hash.Hash
	size  int64
	parts int
}

func (s *streamReader) Read(p []byte) (int, error) {
	for s.is(memberName(s.name, s.parts)) {
		n, err := s.tar.Read(p)
		s.sum.Write(p[:n])
		s.size += int64(n)
		if n > 0 {
			return n, nil
		}
		if err == io.EOF {
			s.parts++
			err = s.advance()
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, io.EOF
}

// close reads the trailer and the authentication, nil where there is none, and makes sure that nothing comes after them.
func (r *reading) close() (trailer, authentication []byte, err error) {
	if r.header != nil && r.header.Name != trailerMember {
		return nil, nil, fmt.Errorf("%q is not in its place", strings.ToValidUTF8(r.header.Name, "?"))
	}
	if trailer, err = r.whole(trailerMember); err != nil {
		return nil, nil, err
	}
	if r.is(authenticationMember) {
		if authentication, err = r.whole(authenticationMember); err != nil {
			return nil, nil, err
		}
	}
	if r.header != nil {
		return nil, nil, errors.New("something comes after the trailer")
	}
	// Only at the end of the plain text has age said that nothing was cut off, and OpenPGP that anything is what was written.
	if n, err := io.Copy(io.Discard, r.plain); err != nil {
		return nil, nil, err
	} else if n > 0 {
		return nil, nil, errors.New("something comes after the tar")
	}
	return trailer, authentication, nil
}
