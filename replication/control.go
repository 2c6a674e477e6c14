package replication

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"keytrustee/postgres"
)

// ControlTables are the tables that may be written without the passive. None holds key material in the clear, and nothing
// that was acknowledged to a client. This is the one list.
var ControlTables = []string{"control.epoch", "control.boxes", "control.kek_wraps"}

// controlSchema can be applied again.
const controlSchema = `
create schema if not exists control;
create table if not exists control.epoch (
	one    boolean primary key default true check (one),
	number integer not null,
	id     text not null,
	since  timestamptz not null default now()
);
-- Boxes are secrets of the cluster (the authority's key, the cookie secret) sealed under the key-encryption key.
create table if not exists control.boxes (
	name text primary key,
	box  bytea not null
);
-- Wraps are the key-encryption key sealed for a root key, signed by the host that made them.
create table if not exists control.kek_wraps (
	kek       text not null,
	recipient text not null,
	wrap      bytea not null,
	primary key (kek, recipient)
);`

// Bootstrap makes the schema control and its tables on the active. It may be called again and changes nothing then.
func Bootstrap(ctx context.Context, conn *pgx.Conn) error {
	return Control(ctx, conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, controlSchema)
		if err != nil {
			return fmt.Errorf("making the control tables: %w", err)
		}
		return nil
	})
}

// Control makes a control write: fn's changes are committed on this host alone, at once, whether a passive is there or not.
// If fn writes to a table outside ControlTables, everything is rolled back and an error says so.
func Control(ctx context.Context, conn *pgx.Conn, fn func(pgx.Tx) error) error {
	return postgres.ControlWrite(ctx, conn, ControlTables, fn)
}

// epochRow is the epoch that the database was last used in; nil if it has none yet.
func epochRow(ctx context.Context, conn *pgx.Conn) (*Epoch, error) {
	var e Epoch
	err := conn.QueryRow(ctx, "select number, id from control.epoch").Scan(&e.Number, &e.ID)
	if err == pgx.ErrNoRows {
		return nil, nil
	}
	return &e, err
}

// writeEpoch makes e the epoch of the database.
func writeEpoch(ctx context.Context, conn *pgx.Conn, e Epoch) error {
	return Control(ctx, conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `insert into control.epoch (number, id) values ($1, $2)
			on conflict (one) do update set number = excluded.number, id = excluded.id, since = now()`, e.Number, e.ID)
		return err
	})
}
