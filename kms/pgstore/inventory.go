package pgstore

import (
	"context"
	"errors"
	"fmt"
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
	// asTheyLie has a table read from its beginning, whoever reads it already, so that what was copied from it comes in its order.
	asTheyLie  = `select set_config('synchronize_seqscans', 'off', true)`
	purgedKeys = `(select p.key_id from key_change p where p.kind = 'purged')`

	inventKeys = `select k.id, k.id in ` + purgedKeys + `, k.name, k.generation, k.cipher, k.bit_length, k.description, k.attributes::text, k.created, k.created_by
	from key k`
	inventVersions = `select v.id, v.key_id in ` + purgedKeys + `, v.key_id, v.name, v.ordinal, v.kek, v.sealed, v.check_value from key_version v`
	inventToOpen   = `select v.id, v.key_id in ` + purgedKeys + `, v.key_id, v.name, v.ordinal, v.kek, v.sealed, v.check_value, k.name, k.cipher from key_version v join key k on k.id = v.key_id`
	inventChanges  = `select c.id, c.key_id, c.seq, c.kind, c.version_id, c.at, c.by_whom, c.from_where, c.request_id, c.xid::text from key_change c`
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
	versions := inventVersions
	if open != nil {
		versions = inventToOpen
	}
	for _, table := range []struct {
		sql  string
		read func(*columns) (Entry, error)
	}{
		{inventKeys, readKey},
		{versions, func(c *columns) (Entry, error) { return readVersion(c, open) }},
		{inventChanges, readChange},
	} {
		if err := invent(ctx, q, table.sql, table.read, entry); err != nil {
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
func invent(ctx context.Context, q querier, sql string, read func(*columns) (Entry, error), entry func(Entry) error) error {
	rows, err := q.Query(ctx, sql, pgx.QueryResultFormats{pgx.BinaryFormatCode})
	if err != nil {
		return err
	}
	defer rows.Close()
	var c columns
	for rows.Next() {
		c.begin(rows.RawValues())
		e, err := read(&c)
		if err = errors.Join(c.err, err); err != nil {
			return err
		}
		if err := entry(e); err != nil {
			return err
		}
	}
	return rows.Err()
}

func readKey(c *columns) (Entry, error) {
	e := Entry{Table: Keys, ID: c.id(), Purged: c.bool()}
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
	return e, nil
}

func readVersion(c *columns, open func(kms.SealedVersion) error) (Entry, error) {
	e := Entry{Table: Versions, ID: c.id(), Purged: c.bool()}
	key, name, ordinal, kek, sealed, check := c.id(), c.next(), c.int(), c.next(), c.next(), c.next()
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
	if open == nil || e.Purged || c.err != nil {
		return e, nil
	}
	v := kms.SealedVersion{KEK: string(kek), Sealed: sealed, Check: check}
	v.ID, v.KeyID, v.Name, v.Ordinal, v.Key, v.Cipher = e.ID, key, kms.VersionName(name), int(ordinal), kms.KeyName(c.next()), string(c.next())
	return e, open(v)
}

func readChange(c *columns) (Entry, error) {
	e := Entry{Table: Changes, ID: c.id()}
	key := c.id()
	c.sum.bytes(e.ID[:])
	c.sum.bytes(key[:])
	c.sum.number(c.int())
	c.sum.bytes(c.next()) // kind
	if version := c.next(); version != nil {
		c.sum.bytes(version)
	}
	at, by, from, request, xid := c.micros(), c.next(), c.next(), c.next(), c.next()
	c.sum.number(at)
	c.sum.bytes(by)
	c.sum.bytes(from)
	c.sum.bytes(xid)
	c.sum.maybe(request)
	e.Sum = c.sum.end()
	return e, nil
}
