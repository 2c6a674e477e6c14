package pgstore

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"keytrustee/kms"
	"keytrustee/postgres"
)

// A read is tried this often, and all tries together take no longer than readDeadline, also where the server is frozen
// and its own timeout does not work.
const (
	readTries    = 3
	readDeadline = 3 * time.Second
)

// The errors of PostgreSQL that are told apart here.
const (
	uniqueViolation     = "23505"
	foreignKeyViolation = "23503"
	lockNotAvailable    = "55P03"
	undefinedTable      = "42P01"
)

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// read runs fn, and again if a conflict with replay, a timeout, a connection that died meanwhile or a damaged page ended it. The filter is
// asked for after the connection was made, and fn asks on that connection alone: if it answers, the filter is of the same
// start of PostgreSQL, and what it is certain of holds for the answer. If the database, or a page of it, can not be read the error is a
// *kms.ReadOnlyError: the other host may know.
func (s *Store) read(ctx context.Context, fn func(context.Context, querier, filter) error) error {
	bounded, cancel := context.WithTimeout(ctx, readDeadline)
	defer cancel()
	var err error
	for range readTries {
		once := s.readOnce
		if postgres.Damaged(err) {
			once = s.readAround
		}
		if err = once(bounded, fn); err == nil || !passing(err) {
			return err
		}
		if bounded.Err() != nil {
			break
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.unserved.tell(s.log, time.Now(), err)
	if postgres.Damaged(err) {
		return kms.NotReadyError(s.host, kms.ReasonDataDamaged, "the database of "+s.hostName()+" can not read what was asked for: its data is damaged on its disk; ktadmin db check on "+s.hostName()+" says what of it")
	}
	if f := s.visibility(); f.uncertain != nil {
		return f.uncertain // it knows why
	}
	return s.databaseGone()
}

func (s *Store) readOnce(ctx context.Context, fn func(context.Context, querier, filter) error) error {
	conn, err := s.reads.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	return fn(ctx, conn, s.visibility())
}

// readAround is readOnce where a page is damaged: by index alone, so that none is read but those of what is asked for. A small table is read
// from its beginning to its end otherwise.
func (s *Store) readAround(ctx context.Context, fn func(context.Context, querier, filter) error) error {
	return pgx.BeginTxFunc(ctx, s.reads, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "set local enable_seqscan = off"); err != nil {
			return err
		}
		return fn(ctx, tx, s.visibility())
	})
}

// passing reports whether an error says something of the server's state and not of the question: another try, or the other
// host, may do better. Everything that is no answer of the server is such.
func passing(err error) bool {
	var refused *kms.ReadOnlyError
	if errors.Is(err, pgx.ErrNoRows) || errors.Is(err, kms.ErrKeyNotFound) || errors.Is(err, kms.ErrVersionNotFound) || errors.As(err, &refused) {
		return false
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return true
	}
	switch pg.Code[:min(2, len(pg.Code))] {
	case "08", "25", "40", "53", "55", "57", "58", "XX":
		return true
	}
	return pg.Code == undefinedTable // the tables have not been replayed yet
}
