package pgstore

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
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

// read runs fn, and again if a conflict with replay, a timeout or a connection that died meanwhile ended it. If the
// database can not be read it returns a *kms.ReadOnlyError: the other host may know.
func (s *Store) read(ctx context.Context, fn func(context.Context, querier) error) error {
	bounded, cancel := context.WithTimeout(ctx, readDeadline)
	defer cancel()
	var err error
	for range readTries {
		if err = fn(bounded, s.reads); err == nil || errors.Is(err, pgx.ErrNoRows) || !passing(err) {
			return err
		}
		if bounded.Err() != nil {
			break
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.log.Warn("a read was not served", "err", err)
	return s.databaseGone()
}

// passing reports whether an error says something of the server's state and not of the question: another try, or the other
// host, may do better. Everything that is no answer of the server is such.
func passing(err error) bool {
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
