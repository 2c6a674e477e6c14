package backup

import (
	"context"
	"io"
	"time"
)

// Progress hears what is being done, and how far that is. Its methods are called often, by several goroutines at once where several
// targets are sent to, and return at once. Without one, nothing is counted.
type Progress interface {
	Begin(what string)                // a phase; unless one of the next two follows, nobody knows how far it is
	Bytes(total int64, about bool)    // it is counted in bytes, of which so many more are expected; about: as far as can be estimated; 0: nobody knows
	Versions(total int64, about bool) // the same in versions of keys
	Moved(n int64)                    // so many more of them are done
}

// nobody hears nothing.
type nobody struct{}

func (nobody) Begin(string)         {}
func (nobody) Bytes(int64, bool)    {}
func (nobody) Versions(int64, bool) {}
func (nobody) Moved(int64)          {}

// heard is p, or nobody.
func heard(p Progress) Progress {
	if p == nil {
		return nobody{}
	}
	return p
}

// readTo is from, and p hears of what is read.
func readTo(p Progress, from io.Reader) io.Reader {
	if p == (nobody{}) {
		return from
	}
	return heardReader{from, p}
}

type heardReader struct {
	from io.Reader
	p    Progress
}

func (m heardReader) Read(p []byte) (int, error) {
	n, err := m.from.Read(p)
	m.p.Moved(int64(n))
	return n, err
}

// seekTo is readTo of what may be read again from its beginning.
func seekTo(p Progress, from io.ReadSeeker) io.ReadSeeker {
	if p == (nobody{}) {
		return from
	}
	return struct {
		io.Reader
		io.Seeker
	}{heardReader{from, p}, from}
}

// writeTo is to, and p hears of what is written.
func writeTo(p Progress, to io.Writer) io.Writer {
	if p == (nobody{}) {
		return to
	}
	return heardWriter{to, p}
}

type heardWriter struct {
	to io.Writer
	p  Progress
}

func (m heardWriter) Write(p []byte) (int, error) {
	n, err := m.to.Write(p)
	m.p.Moved(int64(n))
	return n, err
}

// ReadFrom lets the writer take what it reads without a copy.
func (m heardWriter) ReadFrom(from io.Reader) (int64, error) {
	return io.Copy(m.to, heardReader{from, m.p})
}

// counting is a Checker, and p hears of the versions that it finds.
type counting struct {
	Checker
	p Progress
}

func (c counting) Rows(ctx context.Context, q Querier, row func(Row) error) error {
	return c.Checker.Rows(ctx, q, c.moved(row))
}

func (c counting) Open(ctx context.Context, q Querier, row func(Row) error) error {
	return c.Checker.Open(ctx, q, c.moved(row))
}

func (c counting) moved(row func(Row) error) func(Row) error {
	if c.p == (nobody{}) {
		return row
	}
	return func(r Row) error {
		if r.Kind == Version && !r.Purged {
			c.p.Moved(1)
		}
		return row(r)
	}
}

// newestHere is the newest backup in the directory, by which it can be estimated how much the next one has; none: nobody knows.
func newestHere(dir string, now time.Time) Receipt {
	catalog, err := List(dir)
	if err != nil {
		return Receipt{}
	}
	newest, _ := Newest(catalog.Backups, now)
	return newest
}

// lengthOf is how long a stream of a backup is; 0: nobody knows.
func lengthOf(r Receipt, stream string) int64 {
	for _, s := range r.Streams {
		if s.Name == stream {
			return s.Size
		}
	}
	return 0
}
