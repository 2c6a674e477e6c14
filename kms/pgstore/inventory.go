package pgstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"

	"keytrustee/kms"
	"keytrustee/postgres"
)

// Table is one of the three tables of keys.
type Table int

// The tables, in the order of Inventory and Tables: by the changes it is known which keys were purged.
const (
	Changes Table = iota
	Keys
	Versions
)

// Tables are their names.
var Tables = [...]string{Changes: "key_change", Keys: "key", Versions: "key_version"}

// Entry is a row of an inventory. Two databases have the same row where they have the same Entry.
type Entry struct {
	Table  Table
	ID     kms.ID
	Purged bool     // the key was purged, so the material of its versions does not count, and may have been swept
	Sum    [32]byte // SHA-256 of all columns; without the material of a version whose key was purged
}

const (
	hasTables = `select to_regclass('key_change') is not null`
	// asTheyLie has a table read from its beginning, whoever reads it already, so that what was copied from it comes in its order.
	asTheyLie = `select set_config('synchronize_seqscans', 'off', true)`
	// A version is opened as its key's.
	inventToOpen = `select v.*, k.name, k.cipher from key_version v join key k on k.id = v.key_id`
)

// Inventory hands every row of the three tables to entry, table after table, as the transaction of q sees them, whatever a filter says. A
// database without the tables has none. The rows of a table come in no order, which would cost more than all else; as a rule in that of
// the database that this one is a copy of. open, if it is not nil, is given each version whose key was not purged, and keeps nothing of
// it. The first error of either ends it and is returned.
func Inventory(ctx context.Context, q querier, open func(kms.SealedVersion) error, entry func(Entry) error) error {
	var have bool
	if err := q.QueryRow(ctx, hasTables).Scan(&have); err != nil || !have {
		return err
	}
	if err := q.QueryRow(ctx, asTheyLie).Scan(nil); err != nil {
		return err
	}
	r := entries{purged: map[kms.ID]bool{}, open: open}
	for t, name := range Tables {
		sql := "select * from " + name
		if Table(t) == Versions && open != nil {
			sql = inventToOpen
		}
		if err := invent(ctx, q, sql, &r, Table(t), entry); err != nil {
			return err
		}
	}
	return nil
}

// Purged returns how many keys were purged, and how many versions they have. A database without the tables has none.
func Purged(ctx context.Context, q querier) (keys, versions int64, err error) {
	var have bool
	if err := q.QueryRow(ctx, hasTables).Scan(&have); err != nil || !have {
		return 0, 0, err
	}
	err = q.QueryRow(ctx, `select count(distinct c.key_id), count(distinct v.id) from key_change c left join key_version v on v.key_id = c.key_id where c.kind = 'purged'`).Scan(&keys, &versions)
	return keys, versions, err
}

// Copies are copies of Tables in the binary format of COPY, of one snapshot, read row by row.
type Copies struct {
	from    [len(Tables)]*postgres.CopyReader
	at      Table
	entries entries
}

// NewCopies reads from copies of Tables, in their order.
func NewCopies(from [len(Tables)]io.Reader) *Copies {
	c := &Copies{entries: entries{purged: map[kms.ID]bool{}}}
	for t, r := range from {
		c.from[t] = postgres.NewCopyReader(r)
	}
	return c
}

// Next returns the next row, as Inventory has it of a database that has them. The error is io.EOF after the last.
func (c *Copies) Next() (Entry, error) {
	for int(c.at) < len(c.from) {
		values, err := c.from[c.at].Next()
		if err == nil {
			return c.entries.read(c.at, values)
		}
		if err != io.EOF {
			return Entry{}, fmt.Errorf("the copy of %s: %w", Tables[c.at], err)
		}
		c.at++
	}
	return Entry{}, io.EOF
}

// Newest is when the newest change was made that the transaction of q sees, whatever a filter says; nil if there is none.
func Newest(ctx context.Context, q querier) (at *time.Time, err error) {
	var have bool
	if err := q.QueryRow(ctx, hasTables).Scan(&have); err != nil || !have {
		return nil, err
	}
	err = q.QueryRow(ctx, "select max(at) from key_change").Scan(&at)
	return at, err
}

// invent reads one table, a row at a time.
func invent(ctx context.Context, q querier, sql string, r *entries, t Table, entry func(Entry) error) error {
	rows, err := q.Query(ctx, sql, pgx.QueryResultFormats{pgx.BinaryFormatCode})
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		e, err := r.read(t, rows.RawValues())
		if err != nil {
			return err
		}
		if err := entry(e); err != nil {
			return err
		}
	}
	return rows.Err()
}

// entries makes an Entry of each row, of Changes before others.
type entries struct {
	purged  map[kms.ID]bool
	open    func(kms.SealedVersion) error
	columns columns
}

// read takes the columns of a table as they lie in it. That they are no more than it knows is what says that the Sum is of all.
func (r *entries) read(t Table, values [][]byte) (e Entry, err error) {
	r.columns.begin(values)
	switch t {
	case Changes:
		e = r.change()
	case Keys:
		e = r.key()
	case Versions:
		e, err = r.version()
	}
	r.columns.end()
	return e, errors.Join(r.columns.err, err)
}

func (r *entries) key() Entry {
	c := &r.columns
	e := Entry{Table: Keys, ID: c.id()}
	e.Purged = r.purged[e.ID]
	c.sum.bytes(e.ID[:])
	c.sum.bytes(c.next()) // name
	c.sum.number(c.int())
	c.sum.bytes(c.next()) // cipher
	c.sum.number(c.int())
	c.sum.maybe(c.next()) // description
	c.sum.bytes(c.next()) // attributes
	c.sum.number(c.micros())
	c.sum.bytes(c.next()) // by whom
	e.Sum = c.sum.end()
	return e
}

func (r *entries) version() (Entry, error) {
	c := &r.columns
	e := Entry{Table: Versions, ID: c.id()}
	key, ordinal, name, kek, sealed, check := c.id(), c.int(), c.next(), c.next(), c.next(), c.next()
	e.Purged = r.purged[key]
	c.sum.bytes(e.ID[:])
	c.sum.bytes(key[:])
	c.sum.bytes(name)
	c.sum.number(ordinal)
	c.sum.bytes(kek)
	if !e.Purged {
		if sealed == nil {
			return e, fmt.Errorf("version %s (%s) has no material, and its key was not purged", kms.VersionName(name).Quoted(), e.ID)
		}
		c.sum.bytes(sealed)
		c.sum.bytes(check)
	}
	e.Sum = c.sum.end()
	if r.open == nil {
		return e, nil
	}
	of, cipher := c.next(), c.next()
	if e.Purged || c.err != nil {
		return e, nil
	}
	v := kms.SealedVersion{KEK: string(kek), Sealed: sealed, Check: check}
	v.ID, v.KeyID, v.Name, v.Ordinal, v.Key, v.Cipher = e.ID, key, kms.VersionName(name), int(ordinal), kms.KeyName(of), string(cipher)
	return e, r.open(v)
}

func (r *entries) change() Entry {
	c := &r.columns
	e := Entry{Table: Changes, ID: c.id()}
	key, seq, kind, version := c.id(), c.int(), c.next(), c.next()
	if string(kind) == string(kms.Purged) {
		r.purged[key] = true
	}
	c.sum.bytes(e.ID[:])
	c.sum.bytes(key[:])
	c.sum.number(seq)
	c.sum.bytes(kind)
	c.sum.maybe(version)
	at, by, from, request, xid := c.micros(), c.next(), c.next(), c.next(), c.next()
	c.sum.number(at)
	c.sum.bytes(by)
	c.sum.bytes(from)
	c.sum.bytes(xid)
	c.sum.maybe(request)
	e.Sum = c.sum.end()
	return e
}
