package main

import (
	"context"
	"io"

	"keytrustee/backup"
	"keytrustee/kms"
	"keytrustee/kms/pgstore"
	"keytrustee/kms/seal"
)

// keyChecker is the backup.Checker of keys: what they are, and whether this host's own root key opens them.
type keyChecker struct{ ring *seal.Keyring }

var _ backup.Checker = keyChecker{}

var kinds = map[pgstore.Table]backup.Kind{pgstore.Keys: backup.Key, pgstore.Versions: backup.Version, pgstore.Changes: backup.Change}

// Rows is backup.Checker's.
func (k keyChecker) Rows(ctx context.Context, q backup.Querier, row func(backup.Row) error) error {
	return k.inventory(ctx, q, nil, row)
}

// Open is backup.Checker's. A row that is missing while another speaks of it is an error too: what its database has lost already, a backup
// lacks, and so does its dump.
func (k keyChecker) Open(ctx context.Context, q backup.Querier, row func(backup.Row) error) error {
	if err := k.open(ctx, q, row); err != nil {
		return err
	}
	return pgstore.Linked(ctx, q)
}

// restoring is a keyChecker for a restore, which takes what the backup has: there is nothing better.
type restoring struct{ keyChecker }

func (k restoring) Open(ctx context.Context, q backup.Querier, row func(backup.Row) error) error {
	return k.open(ctx, q, row)
}

// Tables is backup.Checker's.
func (keyChecker) Tables() [3]string { return pgstore.Tables }

// Copied is backup.Checker's.
func (keyChecker) Copied(copies [3]io.Reader) backup.RowReader {
	return copiedKeys{pgstore.NewCopies(copies)}
}

// Purged is backup.Checker's.
func (keyChecker) Purged(ctx context.Context, q backup.Querier) (n backup.Count, err error) {
	n.Keys, n.Versions, err = pgstore.Purged(ctx, q)
	return n, err
}

// copiedKeys are the rows of copies.
type copiedKeys struct{ *pgstore.Copies }

func (c copiedKeys) Next() (backup.Row, error) {
	e, err := c.Copies.Next()
	return rowOf(e), err
}

func rowOf(e pgstore.Entry) backup.Row {
	return backup.Row{Kind: kinds[e.Table], Purged: e.Purged, ID: e.ID, Sum: e.Sum}
}

func (k keyChecker) open(ctx context.Context, q backup.Querier, row func(backup.Row) error) error {
	return k.inventory(ctx, q, func(v kms.SealedVersion) error {
		_, err := k.ring.Open(v)
		return err
	}, row)
}

func (keyChecker) inventory(ctx context.Context, q backup.Querier, open func(kms.SealedVersion) error, row func(backup.Row) error) error {
	return pgstore.Inventory(ctx, q, open, func(e pgstore.Entry) error { return row(rowOf(e)) })
}
