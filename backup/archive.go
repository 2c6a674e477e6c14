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
	"sync"
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

// archive is a backup that is being written: a tar within a file of age or an OpenPGP message. Three do their part at a time: whoever fills a stream fills a member
// and sums it, one goroutine encrypts the member before, and another one sums what is encrypted and writes it.
type archive struct {
	at      time.Time // of every member
	members chan member
	emptied chan member   // each comes back when it was encrypted, or with why it was not
	sealing func() error  // ends the encrypting of members, and returns why one was not; however often
	buffer  *bufio.Writer // of the pipe to who writes
	sealed  io.WriteCloser
	tar     *tar.Writer
	writing func() error // ends the writing, and returns the error that the file had; however often
	file    *counted     // what lies on the disk; its goroutine's until writing has returned
	done    []Stream

	manifest []byte // as it was written
}

// member is a part of a stream on its way. Its content has the capacity memberSize.
type member struct {
	name    string
	content []byte
	err     error
}

// newArchive begins a backup that seal encrypts, with its manifest. Until close or end has returned, w is in use.
func newArchive(w io.Writer, m Manifest, seal sealer) (a *archive, err error) {
	a = &archive{at: m.Started, members: make(chan member), emptied: make(chan member, 2), file: &counted{w: w, sum: sha256.New()}}
	to := a.write()
	a.buffer = bufio.NewWriterSize(to, ahead)
	if a.sealed, err = seal(a.buffer); err != nil {
		a.writing()
		return nil, fmt.Errorf("encrypting: %w", err)
	}
	a.tar = tar.NewWriter(a.sealed)
	if a.manifest, err = a.json(manifestMember, m); err != nil {
		a.writing()
		return nil, err
	}
	a.seal()
	return a, nil
}

// ahead is how much is encrypted before it is written.
const ahead = 1 << 20

// write begins to write what comes through the pipe to the file.
func (a *archive) write() *io.PipeWriter {
	from, to := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		_, err := io.CopyBuffer(a.file, from, make([]byte, ahead))
		from.CloseWithError(err) // who encrypts is told
		ended <- err
	}()
	a.writing = sync.OnceValue(func() error { to.Close(); return <-ended })
	return to
}

// seal begins to encrypt members.
func (a *archive) seal() {
	ended := make(chan error, 1)
	go func() {
		var err error
		for m := range a.members {
			if err == nil {
				err = a.add(m.name, m.content)
			}
			a.emptied <- member{content: m.content[:0], err: err}
		}
		ended <- err
	}()
	for range cap(a.emptied) {
		a.emptied <- member{content: make([]byte, 0, memberSize)}
	}
	a.sealing = sync.OnceValue(func() error { close(a.members); return <-ended })
}

// end gives up a backup that is not closed. After close it does nothing.
func (a *archive) end() {
	a.sealing()
	a.writing()
}

// json writes a member and returns what it holds.
func (a *archive) json(name string, v any) ([]byte, error) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, err
	}
	text = append(text, '\n')
	return text, a.add(name, text)
}

func (a *archive) add(name string, content []byte) error {
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
	if err := s.empty(); err != nil {
		return err
	}
	err := fill(s)
	if s.err != nil { // what fill says follows from it
		return s.err
	} else if err != nil {
		return err
	}
	if err := s.end(); err != nil {
		return err
	}
	a.done = append(a.done, Stream{Name: name, Size: s.size, SHA256: hex.EncodeToString(s.sum.Sum(nil))})
	return nil
}

// streamWriter cuts a stream into members.
type streamWriter struct {
	*archive
	name   string
	member []byte // is being filled
	sum    hash.Hash
	size   int64
	parts  int
	err    error // the first of the file
}

func (s *streamWriter) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		k := copy(s.room(), p)
		if err := s.took(k); err != nil {
			return n, err
		}
		p, n = p[k:], n+k
	}
	return n, nil
}

// ReadFrom is Write of all that r has, without a copy of its own.
func (s *streamWriter) ReadFrom(r io.Reader) (n int64, err error) {
	for {
		k, err := r.Read(s.room())
		n += int64(k)
		if terr := s.took(k); terr != nil {
			return n, terr
		}
		if err == io.EOF {
			return n, nil
		} else if err != nil {
			return n, err
		}
	}
}

// room is what is free in the member.
func (s *streamWriter) room() []byte { return s.member[len(s.member):memberSize] }

// took takes in what was put into the room.
func (s *streamWriter) took(n int) error {
	if s.err != nil {
		return s.err
	}
	s.member = s.member[:len(s.member)+n]
	s.sum.Write(s.member[len(s.member)-n:])
	s.size += int64(n)
	if len(s.member) < memberSize {
		return nil
	}
	s.hand()
	return s.empty()
}

// hand gives the member to who encrypts it.
func (s *streamWriter) hand() {
	s.members <- member{name: memberName(s.name, s.parts), content: s.member}
	s.parts, s.member = s.parts+1, nil
}

// empty takes the next member that is free.
func (s *streamWriter) empty() error {
	m := <-s.emptied
	s.member = m.content
	if s.err == nil {
		s.err = m.err
	}
	return s.err
}

// end ends the stream. One of nothing has one member of nothing.
func (s *streamWriter) end() error {
	if len(s.member) == 0 && s.parts > 0 {
		s.emptied <- member{content: s.member}
		return nil
	}
	s.hand()
	return nil
}

// close ends the backup with its trailer and, unless by is nil, its authentication. It returns the trailer and the file's size and sum.
// The file is not synced.
func (a *archive) close(rows Count, by Authenticator) (t Trailer, size int64, sum []byte, err error) {
	t = Trailer{Format: Format, Streams: a.done, Rows: rows}
	if err := a.sealing(); err != nil {
		return t, 0, nil, err
	}
	trailer, err := a.json(trailerMember, t)
	if err == nil && by != nil {
		_, err = a.json(authenticationMember, authenticate(by, a.manifest, trailer))
	}
	if err != nil {
		return t, 0, nil, err
	}
	for _, end := range []func() error{a.tar.Close, a.sealed.Close, a.buffer.Flush, a.writing} {
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
