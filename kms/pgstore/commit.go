package pgstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"keytrustee/kms"
	"keytrustee/postgres"
)

// outcome is what COMMIT came to, as far as its answer tells. There are three, never two.
type outcome int

const (
	unknown outcome = iota // anything else
	done                   // COMMIT answered, without a word of warning: the standby has it
	notDone                // the server answered ERROR, or ROLLBACK
)

type committed struct {
	outcome outcome
	at      postgres.LSN // after done: a position that covers the commit record
	err     error        // after notDone, and for the log after unknown
}

// commit sends COMMIT in a goroutine of its own and releases conn when it has an answer. Nothing ends it before that: to
// cancel a COMMIT that waits for the standby is to commit it on one host alone.
func (s *Store) commit(conn *pgxpool.Conn, tx pgx.Tx) <-chan committed {
	result := make(chan committed, 1)
	go func() {
		defer conn.Release()
		pg := conn.Conn().PgConn()
		delete(pg.CustomData(), warned)
		err := tx.Commit(context.Background())
		c := committed{classify(err, pg.CustomData()[warned] != nil), 0, err}
		if c.outcome == unknown && c.err == nil {
			c.err = fmt.Errorf("COMMIT succeeded with a warning: %v", pg.CustomData()[warned])
		}
		if c.outcome == done {
			if c.at, c.err = flushed(s.life, conn.Conn()); c.err != nil {
				c.outcome = unknown
			}
		}
		result <- c
	}()
	return result
}

// classify tells by severity, never by text. No library's opinion on whether COMMIT may be sent again is asked.
func classify(err error, warned bool) outcome {
	var pg *pgconn.PgError
	switch {
	case err == nil && !warned:
		return done
	case errors.Is(err, pgx.ErrTxCommitRollback):
		return notDone
	case errors.As(err, &pg) && pg.SeverityUnlocalized == "ERROR":
		return notDone
	default:
		return unknown
	}
}

// warned is where a connection keeps the worst notice since COMMIT was sent. Only the goroutine that uses the connection
// touches it: notices are read there.
const warned = "keytrustee warned"

func noteNotice(c *pgconn.PgConn, n *pgconn.Notice) {
	switch n.SeverityUnlocalized {
	case "NOTICE", "DEBUG", "INFO", "LOG":
	default:
		c.CustomData()[warned] = n.SeverityUnlocalized + " " + n.Code + ": " + n.Message
	}
}

// flushed returns the position up to which this server's own disk has the WAL. Whoever saw a transaction committed that
// waits for its commit record to be flushed, as ours do, finds that record below it.
func flushed(ctx context.Context, q querier) (postgres.LSN, error) {
	var text string
	if err := q.QueryRow(ctx, "select pg_current_wal_flush_lsn()::text").Scan(&text); err != nil {
		return 0, err
	}
	return postgres.ParseLSN(text)
}

// settle turns the answer of COMMIT into that of Apply: nil when the peer has the row and has opened it, the error of a
// COMMIT that was refused, kms.ErrOutcomeUnknown when the Store was closed or the pair is another.
func (s *Store) settle(answer <-chan committed, xid postgres.XID, change, row kms.ID) error {
	var c committed
	select {
	case c = <-answer:
	case <-s.life.Done():
		return kms.ErrOutcomeUnknown
	}
	if c.outcome == notDone {
		return fmt.Errorf("committing change %s: %w", change, c.err)
	}
	at := c.at
	if c.outcome == unknown {
		s.log.Warn("the outcome of a change is unknown", "change", change, "xid", uint64(xid), "error", c.err)
		var err error
		if at, err = s.resolve(xid, change); err != nil {
			return err
		}
	}
	if err := s.horizon.Await(s.life, xid, at, [][16]byte{row}); err != nil {
		s.log.Warn("the outcome of a change stays unknown", "change", change, "xid", uint64(xid), "error", err)
		return kms.ErrOutcomeUnknown
	}
	return nil
}
