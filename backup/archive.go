package backup

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"time"
)

// The members that are no part of a stream: the first, and the last but for the authentication.
const (
	manifestMember = "manifest.json"
	trailerMember  = "trailer.json"
)

// memberSize is the most that a member holds. A tar wants to know a size before the bytes, and so much of a stream is held
// in memory.
const memberSize = 8 << 20

// memberName is the name of the n-th member of a stream. In their order the members make the stream.
func memberName(stream string, n int) string { return fmt.Sprintf("%s.%06d", stream, n) }

// archive is a backup that is being written: a tar within a file of age or an OpenPGP message.
type archive struct {
	file   *counted // what lies on the disk
	buffer *bufio.Writer
	sealed io.WriteCloser
	tar    *tar.Writer
	at     time.Time // of every member
	member []byte    // of memberSize
	done   []Stream

	manifest []byte // as it was written
}

// newArchive begins a backup, with its manifest.
func newArchive(w io.Writer, m Manifest, seal sealer) (*archive, error) {
	a := &archive{file: &counted{w: w, sum: sha256.New()}, at: m.Started, member: make([]byte, 0, memberSize)}
	a.buffer = bufio.NewWriterSize(a.file, 1<<20)
	var err error
	if a.sealed, err = seal(a.buffer); err != nil {
		return nil, fmt.Errorf("encrypting: %w", err)
	}
	a.tar = tar.NewWriter(a.sealed)
	a.manifest, err = a.json(manifestMember, m)
	return a, err
}

// json writes a member and returns what it holds.
func (a *archive) json(name string, v any) ([]byte, error) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, err
	}
	text = append(text, '\n')
	return text, a.write(name, text)
}

func (a *archive) write(name string, content []byte) error {
	header := tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(content)), Mode: 0o600, ModTime: a.at, Format: tar.FormatPAX}
	if err := a.tar.WriteHeader(&header); err != nil {
		return err
	}
	_, err := a.tar.Write(content)
	return err
}

// stream adds what fill writes.
func (a *archive) stream(name string, fill func(io.Writer) error) error {
	s := &streamWriter{archive: a, name: name, sum: sha256.New()}
	err := fill(s)
	if s.err != nil { // what fill says follows from it
		return s.err
	} else if err != nil {
		return err
	}
	if err := s.flush(); err != nil {
		return err
	}
	a.done = append(a.done, Stream{Name: name, Size: s.size, SHA256: hex.EncodeToString(s.sum.Sum(nil))})
	return nil
}

// streamWriter cuts a stream into members.
type streamWriter struct {
	*archive
	name  string
	sum   hash.Hash
	size  int64
	parts int
	err   error // the first of the file
}

func (s *streamWriter) Write(p []byte) (int, error) {
	n := len(p)
	s.sum.Write(p)
	s.size += int64(n)
	for len(p) > 0 {
		k := min(len(p), memberSize-len(s.member))
		s.member, p = append(s.member, p[:k]...), p[k:]
		if len(s.member) == memberSize {
			if err := s.flush(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// flush writes a member. A stream of nothing has one member of nothing.
func (s *streamWriter) flush() error {
	if len(s.member) == 0 && s.parts > 0 {
		return nil
	}
	err := s.archive.write(memberName(s.name, s.parts), s.member)
	s.parts++
	s.member = s.member[:0]
	if s.err == nil {
		s.err = err
	}
	return err
}

// close ends the backup with its trailer and, unless by is nil, its authentication. It returns the trailer and the file's size and sum.
// The file is not synced.
func (a *archive) close(rows Count, by Authenticator) (t Trailer, size int64, sum []byte, err error) {
	t = Trailer{Format: Format, Streams: a.done, Rows: rows}
	trailer, err := a.json(trailerMember, t)
	if err == nil && by != nil {
		_, err = a.json(authenticationMember, authenticate(by, a.manifest, trailer))
	}
	if err != nil {
		return t, 0, nil, err
	}
	for _, end := range []func() error{a.tar.Close, a.sealed.Close, a.buffer.Flush} {
		if err = end(); err != nil {
			return t, 0, nil, err
		}
	}
	return t, a.file.size, a.file.sum.Sum(nil), nil
}

// counted counts and sums what goes to w.
type counted struct {
	w    io.Writer
	size int64
	sum  hash.Hash
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.size += int64(n)
	c.sum.Write(p[:n])
	return n, err
}

// sameJSON reports whether text is what json writes of v.
func sameJSON(text []byte, v any) bool {
	want, err := json.MarshalIndent(v, "", "  ")
	return err == nil && bytes.Equal(bytes.TrimSpace(text), want)
}
