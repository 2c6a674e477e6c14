package backup

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"
)

// Checker knows the rows that a backup is for. It may be used by one goroutine at a time.
type Checker interface {
	// Rows hands to row everything that has to be there again, as q sees it, in the order of Row.compare. A database
	// without tables has nothing. An error of row ends it and is returned.
	Rows(ctx context.Context, q Querier, row func(Row) error) error
	// Open is Rows, and opens what is sealed. If something does not open, the error names it.
	Open(ctx context.Context, q Querier, row func(Row) error) error
}

// Querier asks one database, within one transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Kind is what a row is.
type Kind byte

// The kinds, in their order.
const (
	Key     Kind = 'k'
	Version Kind = 'v'
	Change  Kind = 'x'
)

func (k Kind) String() string {
	return map[Kind]string{Key: "key", Version: "version", Change: "change"}[k]
}

// Row is what a backup remembers of one row: enough to know it again, and nothing that it holds.
type Row struct {
	Kind   Kind
	Purged bool // of a key that was purged, or a version of one: what a version holds does not count any more
	ID     [16]byte
	Sum    [32]byte // of all that counts
}

// Count is how many rows there are that were not purged.
type Count struct {
	Keys     int64 `json:"keys"`
	Versions int64 `json:"versions"`
	Changes  int64 `json:"changes"`
}

func (c *Count) add(r Row) {
	switch {
	case r.Purged:
	case r.Kind == Key:
		c.Keys++
	case r.Kind == Version:
		c.Versions++
	case r.Kind == Change:
		c.Changes++
	}
}

// rowSize is how long a row is in the stream of rows: kind, purged or not, ID, sum.
const rowSize = 1 + 1 + 16 + 32

func (r Row) append(b []byte) []byte {
	purged := byte(0)
	if r.Purged {
		purged = 1
	}
	return append(append(append(b, byte(r.Kind), purged), r.ID[:]...), r.Sum[:]...)
}

func parseRow(b []byte) (r Row, err error) {
	r.Kind, r.Purged = Kind(b[0]), b[1] == 1
	if r.Kind.String() == "" || b[1] > 1 {
		return r, errors.New("the list of rows holds something else")
	}
	copy(r.ID[:], b[2:])
	copy(r.Sum[:], b[18:])
	return r, nil
}

// compare orders rows by kind, then by ID.
func (r Row) compare(other Row) int {
	if r.Kind != other.Kind {
		return int(r.Kind) - int(other.Kind)
	}
	return bytes.Compare(r.ID[:], other.ID[:])
}

func (r Row) String() string {
	id := hex.EncodeToString(r.ID[:])
	return fmt.Sprintf("%s %s-%s-%s-%s-%s", r.Kind, id[:8], id[8:12], id[12:16], id[16:20], id[20:])
}

// writeRows writes the rows that q sees, and counts them.
func writeRows(ctx context.Context, w io.Writer, c Checker, q Querier) (n Count, err error) {
	out := bufio.NewWriterSize(w, 64<<10)
	var last Row
	var line []byte
	err = c.Rows(ctx, q, func(r Row) error {
		if last.Kind != 0 && last.compare(r) >= 0 {
			return fmt.Errorf("%s comes after %s", r, last)
		}
		last = r
		n.add(r)
		line = r.append(line[:0])
		_, err := out.Write(line)
		return err
	})
	return n, errors.Join(err, out.Flush())
}

// expected reads a list of rows beside a database that should have them.
type expected struct {
	in    *bufio.Reader
	next  Row
	more  bool
	count Count // of what was read
	newer int64 // rows that are not on the list
	exact bool  // there may be none, and nothing was purged since
}

func expect(list io.Reader, exact bool) (*expected, error) {
	e := &expected{in: bufio.NewReaderSize(list, 64<<10), exact: exact}
	return e, e.advance()
}

// advance reads the next row of the list.
func (e *expected) advance() error {
	var line [rowSize]byte
	switch _, err := io.ReadFull(e.in, line[:]); {
	case err == io.EOF:
		e.more = false
		return nil
	case err != nil:
		return fmt.Errorf("reading the list of rows: %w", err)
	}
	row, err := parseRow(line[:])
	if err != nil {
		return err
	}
	if e.more && e.next.compare(row) >= 0 {
		return errors.New("the list of rows is out of order")
	}
	e.next, e.more = row, true
	e.count.add(row)
	return nil
}

// found is told each row of the database, in order.
func (e *expected) found(r Row) error {
	switch {
	case !e.more || r.compare(e.next) < 0:
		e.newer++
		if e.exact {
			return fmt.Errorf("%s was not there", r)
		}
		return nil
	case r.compare(e.next) > 0:
		return fmt.Errorf("%s is not there", e.next)
	case r != e.next && (e.exact || !purgedSince(e.next, r)):
		return fmt.Errorf("%s is not what it was", r)
	}
	return e.advance()
}

// purgedSince reports whether now is what a purge makes of then. What a version held may have been erased.
func purgedSince(then, now Row) bool {
	return now.Purged && !then.Purged && (now.Kind == Version || now.Sum == then.Sum)
}

// end is called when the database has no further row.
func (e *expected) end() error {
	if e.more {
		return fmt.Errorf("%s is not there", e.next)
	}
	return nil
}
