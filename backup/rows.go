package backup

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
)

// Checker knows the rows that a backup is for. It may be used by one goroutine at a time.
type Checker interface {
	// Rows hands to row everything that has to be there again, as q sees it, each row once and in any order. That of a copy of a database
	// is that of the database as a rule: what comes elsewhere has to be remembered until it comes. A database without tables has nothing.
	// An error of row ends it and is returned.
	Rows(ctx context.Context, q Querier, row func(Row) error) error
	// Open is Rows, and opens what is sealed. If something does not open, the error names it.
	Open(ctx context.Context, q Querier, row func(Row) error) error
	// Tables are the tables of the schema public that have these rows, in the order of kinds. They are copied row by row, for they are nearly all
	// that a database holds.
	Tables() [len(kinds)]string
	// Copied returns what reads the rows out of copies of Tables, of one snapshot, in the binary format of COPY.
	Copied(copies [len(kinds)]io.Reader) RowReader
	// Purged is how many of the rows that q sees are Purged.
	Purged(ctx context.Context, q Querier) (Count, error)
}

// RowReader reads rows one after the other. The error of Next is io.EOF after the last.
type RowReader interface{ Next() (Row, error) }

// Querier asks one database, within one transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Kind is what a row is.
type Kind byte

// The kinds.
const (
	Change  Kind = 'x'
	Key     Kind = 'k'
	Version Kind = 'v'
)

// kinds are in the order in which a backup has them. A change says what was purged.
var kinds = [...]Kind{Change, Key, Version}

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

// of is how many there are of a kind.
func (c *Count) of(k Kind) *int64 {
	return map[Kind]*int64{Change: &c.Changes, Key: &c.Keys, Version: &c.Versions}[k]
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

// compare orders rows by kind, then by ID, so that of several the same one is named each time.
func (r Row) compare(other Row) int {
	return cmp.Or(cmp.Compare(r.Kind, other.Kind), bytes.Compare(r.ID[:], other.ID[:]))
}

func (r Row) String() string {
	id := hex.EncodeToString(r.ID[:])
	return fmt.Sprintf("%s %s-%s-%s-%s-%s", r.Kind, id[:8], id[8:12], id[12:16], id[16:20], id[20:])
}

// rowKey is which row it is, whatever it holds.
type rowKey struct {
	kind Kind
	id   [16]byte
}

func (r Row) key() rowKey { return rowKey{r.Kind, r.ID} }

// expected reads the rows of a dump, which are the list, beside a database that should have them. Where both have the same order it remembers
// nothing; otherwise what has come from one of them and not yet from the other.
type expected struct {
	in     RowReader
	ended  bool // the list
	listed map[rowKey]Row
	had    map[rowKey]Row
	count  Count // of what was read of the list
	newer  int64 // rows that are not on the list
	exact  bool  // there may be none, and nothing was purged since
}

func expect(list RowReader, exact bool) *expected {
	return &expected{in: list, listed: map[rowKey]Row{}, had: map[rowKey]Row{}, exact: exact}
}

// read reads the next row of the list, if there is one.
func (e *expected) read() (Row, error) {
	r, err := e.in.Next()
	switch {
	case err == io.EOF:
		e.ended = true
		return r, nil
	case err != nil:
		return r, fmt.Errorf("reading the dump: %w", err)
	}
	e.count.add(r)
	return r, nil
}

// found is told each row of the database.
func (e *expected) found(have Row) error {
	listed, err := e.read()
	switch {
	case err != nil:
		return err
	case !e.ended && listed.key() == have.key():
		return e.same(listed, have)
	case !e.ended:
		if err := e.list(listed); err != nil {
			return err
		}
	}
	if listed, ok := e.listed[have.key()]; ok {
		delete(e.listed, have.key())
		return e.same(listed, have)
	}
	if e.ended {
		return e.isNewer(have)
	}
	e.had[have.key()] = have
	return nil
}

// list takes in a row of the list that the database did not have in its place.
func (e *expected) list(listed Row) error {
	if have, ok := e.had[listed.key()]; ok {
		delete(e.had, listed.key())
		return e.same(listed, have)
	}
	if _, twice := e.listed[listed.key()]; twice {
		return fmt.Errorf("the dump has %s twice", listed)
	}
	e.listed[listed.key()] = listed
	return nil
}

// same holds a row of the database against that of the list.
func (e *expected) same(listed, have Row) error {
	if have != listed && (e.exact || !purgedSince(listed, have)) {
		return fmt.Errorf("%s is not what it was", have)
	}
	return nil
}

// isNewer counts a row that is not on the list.
func (e *expected) isNewer(have Row) error {
	e.newer++
	if e.exact {
		return fmt.Errorf("%s was not there", have)
	}
	return nil
}

// purgedSince reports whether now is what a purge makes of then. What a version held may have been erased.
func purgedSince(then, now Row) bool {
	return now.Purged && !then.Purged && (now.Kind == Version || now.Sum == then.Sum)
}

// end is called when the database has no further row.
func (e *expected) end() error {
	for !e.ended && len(e.listed) == 0 { // once one is missing it does not matter what else is
		listed, err := e.read()
		if err == nil && !e.ended {
			err = e.list(listed)
		}
		if err != nil {
			return err
		}
	}
	if missing := slices.Collect(maps.Values(e.listed)); len(missing) > 0 {
		return fmt.Errorf("%s is not there", slices.MinFunc(missing, Row.compare))
	}
	for _, have := range e.had {
		if err := e.isNewer(have); err != nil {
			return err
		}
	}
	return nil
}
