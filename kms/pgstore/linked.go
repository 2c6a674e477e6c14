package pgstore

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"keytrustee/postgres"
)

// broken finds what rows speak of and is not there: of which key. A page that a disk has given back as zeros, which PostgreSQL takes for an empty
// one, shows itself by nothing else.
var broken = []struct{ what, sql string }{
	{"keys without their creation", `select k.id as key_id from key k where not exists (select from key_change c where c.key_id = k.id and c.seq = 0)`},
	{"changes of keys that are not there", `select c.key_id from key_change c where not exists (select from key k where k.id = c.key_id)`},
	{"changes whose version is not there", `select c.key_id from key_change c where c.version_id is not null and not exists (select from key_version v where v.id = c.version_id)`},
	{"versions without the change that made them", `select v.key_id from key_version v where not exists (select from key_change c where c.version_id = v.id)`},
	{"versions of keys that are not there", `select v.key_id from key_version v where not exists (select from key k where k.id = v.key_id)`},
	{"keys with a gap in their changes", `select key_id from key_change group by key_id having count(*) <> max(seq) + 1`},
}

// ofLiving counts those whose key was not purged: nobody will ever ask for what a purged one lacks.
func ofLiving(broken string) string {
	return `select count(*) from (` + broken + `) b where not exists (select from key_change p where p.key_id = b.key_id and p.kind = 'purged')`
}

// LinkedAt is Linked for the database of connString.
func LinkedAt(ctx context.Context, connString string) error {
	conn, err := pgx.Connect(ctx, connString)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error { return Linked(ctx, tx) })
}

// Linked returns nil when every row of the three tables can be read that the transaction of q sees, and each has the others that it speaks of;
// a *postgres.RowsError where one is missing. Those of purged keys may be missing.
// Indexes are not asked, for they may tell of rows that are gone; the transaction uses few from then on. It is repeatable read, and can be of a
// standby.
func Linked(ctx context.Context, q querier) error {
	var have bool
	if err := q.QueryRow(ctx, hasTables).Scan(&have); err != nil || !have {
		return err
	}
	for _, way := range []string{"indexscan", "indexonlyscan", "bitmapscan", "nestloop"} {
		var off string
		if err := q.QueryRow(ctx, "select set_config('enable_"+way+"', 'off', true)").Scan(&off); err != nil {
			return err
		}
	}
	for _, b := range broken {
		var n int64
		if err := q.QueryRow(ctx, ofLiving(b.sql)).Scan(&n); err != nil {
			return fmt.Errorf("looking for %s: %w", b.what, err)
		}
		if n > 0 {
			return &postgres.RowsError{Text: fmt.Sprintf("it has %d %s (ktadmin db check names the keys; one that is purged does not count)", n, b.what)}
		}
	}
	return nil
}
