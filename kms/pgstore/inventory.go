package pgstore

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"keytrustee/kms"
)

// Table is one of the three tables of keys.
type Table int

// The tables, in the order of Inventory.
const (
	Keys Table = iota
	Versions
	Changes
)

// Entry is a row of an inventory. Two databases have the same row where they have the same Entry.
type Entry struct {
	Table  Table
	ID     kms.ID
	Purged bool     // the key was purged, so the material of its versions does not count, and may have been swept
	Sum    [32]byte // SHA-256 of all columns; without the material of a version whose key was purged
}

const (
	hasTables = `select to_regclass('key_change') is not null`
	purgedKey = `exists (select from key_change p where p.key_id = k.id and p.kind = 'purged')`

	inventKeys = `select k.id, ` + purgedKey + `, k.name, k.generation, k.cipher, k.bit_length, k.description, k.attributes::text, k.created, k.created_by
	from key k order by k.id`
	inventVersions = `select ` + versionColumns + `, ` + purgedKey + ` from key_version v join key k on k.id = v.key_id order by v.id`
	inventChanges  = `select c.id, c.key_id, c.seq, c.kind, c.version_id, c.at, c.by_whom, c.from_where, c.request_id, c.xid::text from key_change c order by c.id`
)

// Inventory hands every row of the three tables to entry, table after table, each in the order of its ids, as the
// transaction of q sees them, whatever a filter says. A database without the tables has none. open, if it is not nil, is
// given each version whose key was not purged. The first error of either ends it and is returned.
func Inventory(ctx context.Context, q querier, open func(kms.SealedVersion) error, entry func(Entry) error) error {
	var have bool
	if err := q.QueryRow(ctx, hasTables).Scan(&have); err != nil || !have {
		return err
	}
	for _, table := range []struct {
		sql  string
		scan func(pgx.Rows) (Entry, error)
	}{
		{inventKeys, scanKey},
		{inventVersions, func(rows pgx.Rows) (Entry, error) { return scanVersion(rows, open) }},
		{inventChanges, scanChange},
	} {
		if err := invent(ctx, q, table.sql, table.scan, entry); err != nil {
			return err
		}
	}
	return nil
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
func invent(ctx context.Context, q querier, sql string, scan func(pgx.Rows) (Entry, error), entry func(Entry) error) error {
	rows, err := q.Query(ctx, sql)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		e, err := scan(rows)
		if err != nil {
			return err
		}
		if err := entry(e); err != nil {
			return err
		}
	}
	return rows.Err()
}

func scanKey(rows pgx.Rows) (Entry, error) {
	var k kms.Key
	var generation int
	var attributes string
	e := Entry{Table: Keys}
	if err := rows.Scan(&k.ID, &e.Purged, (*string)(&k.Name), &generation, &k.Cipher, &k.BitLength, &k.Description, &attributes, &k.Created, &k.CreatedBy); err != nil {
		return e, err
	}
	s := summer{sha256.New()}
	s.bytes(k.ID[:])
	s.texts(string(k.Name), strconv.Itoa(generation), k.Cipher, strconv.Itoa(k.BitLength))
	s.maybe(k.Description)
	s.texts(attributes, micros(k.Created), k.CreatedBy)
	e.ID, e.Sum = k.ID, s.sum()
	return e, nil
}

func scanVersion(rows pgx.Rows, open func(kms.SealedVersion) error) (Entry, error) {
	var v kms.SealedVersion
	e := Entry{Table: Versions}
	if err := rows.Scan(&v.ID, &v.KeyID, (*string)(&v.Key), (*string)(&v.Name), &v.Ordinal, &v.Cipher, &v.KEK, &v.Sealed, &v.Check, &e.Purged); err != nil {
		return e, err
	}
	s := summer{sha256.New()}
	s.bytes(v.ID[:])
	s.bytes(v.KeyID[:])
	s.texts(string(v.Name), strconv.Itoa(v.Ordinal), v.KEK)
	if !e.Purged {
		if v.Sealed == nil {
			return e, fmt.Errorf("version %s (%s) has no material, and its key was not purged", v.Name.Quoted(), v.ID)
		}
		s.bytes(v.Sealed)
		s.bytes(v.Check)
		if open != nil {
			if err := open(v); err != nil {
				return e, err
			}
		}
	}
	e.ID, e.Sum = v.ID, s.sum()
	return e, nil
}

func scanChange(rows pgx.Rows) (Entry, error) {
	var c changeRow
	var xid string
	e := Entry{Table: Changes}
	if err := rows.Scan(append(c.dest(), &xid)...); err != nil {
		return e, err
	}
	s := summer{sha256.New()}
	s.bytes(c.c.ID[:])
	s.bytes(c.c.KeyID[:])
	s.texts(strconv.Itoa(c.c.Seq), c.kind)
	if c.version != nil {
		s.bytes(c.version[:])
	}
	s.texts(micros(c.c.At), c.c.By, c.c.From, xid)
	s.maybe(c.requestID)
	e.ID, e.Sum = c.c.ID, s.sum()
	return e, nil
}

// micros is a time as PostgreSQL keeps it.
func micros(t time.Time) string { return strconv.FormatInt(t.UnixMicro(), 10) }

// summer sums fields so that no two different lists of fields give the same bytes.
type summer struct{ hash.Hash }

func (s summer) bytes(b []byte) {
	s.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b))))
	s.Write(b)
}

func (s summer) texts(texts ...string) {
	for _, t := range texts {
		s.bytes([]byte(t))
	}
}

// maybe sums a text that may be absent, which is not the empty one.
func (s summer) maybe(text *string) {
	if text == nil {
		s.bytes(nil)
		return
	}
	s.texts("is", *text)
}

func (s summer) sum() (sum [32]byte) {
	s.Sum(sum[:0])
	return sum
}
