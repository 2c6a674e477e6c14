package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Beginner is a connection, or a pool of them.
type Beginner interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

// ControlWrite runs fn in a transaction that does not wait for a standby: it is durable on this host when ControlWrite
// returns nil. If it wrote to a table that is not in allowed ("schema.table"), it is rolled back and the error names the
// table: no key may be written this way. fn neither commits nor rolls back.
func ControlWrite(ctx context.Context, conn Beginner, allowed []string, fn func(pgx.Tx) error) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return fmt.Errorf("beginning a control write: %w", err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	if _, err := tx.Exec(ctx, `SET LOCAL synchronous_commit = local`); err != nil {
		return fmt.Errorf("beginning a control write: %w", err)
	}
	if err := fn(controlTx{tx}); err != nil {
		return err
	}
	written, err := writtenTables(ctx, tx)
	if err != nil {
		return err
	}
	foreign := slices.DeleteFunc(written, func(table string) bool { return slices.Contains(allowed, table) })
	if len(foreign) > 0 {
		return fmt.Errorf("a control write may not write to %s", strings.Join(foreign, ", "))
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("committing a control write: %w", err)
	}
	return nil
}

// writtenTables returns those that the transaction has changed rows of, its savepoints included.
func writtenTables(ctx context.Context, tx pgx.Tx) ([]string, error) {
	rows, err := tx.Query(ctx, `SELECT schemaname || '.' || relname FROM pg_stat_xact_user_tables
		WHERE n_tup_ins + n_tup_upd + n_tup_del > 0 ORDER BY 1`)
	if err != nil {
		return nil, fmt.Errorf("asking what a control write wrote: %w", err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("asking what a control write wrote: %w", err)
	}
	return tables, nil
}

// controlTx keeps the end of the transaction out of fn's hands.
type controlTx struct{ pgx.Tx }

var errControlEnd = errors.New("a control write is ended by ControlWrite alone")

func (controlTx) Commit(context.Context) error   { return errControlEnd }
func (controlTx) Rollback(context.Context) error { return errControlEnd }
