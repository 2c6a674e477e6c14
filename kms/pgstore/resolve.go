package pgstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"keytrustee/kms"
	"keytrustee/postgres"
)

var errAborted = errors.New("the transaction was rolled back")

// The pace of asking for the fate of a transaction.
const (
	resolveFirst = 50 * time.Millisecond
	resolveLast  = time.Second
)

// resolve finds out what became of a transaction whose COMMIT was not answered, however long that takes: while its backend
// waits for the standby it is in progress. It returns a position that covers the commit; an error that wraps errAborted;
// or kms.ErrOutcomeUnknown when the Store is closed, or when the row can not be told from one that never was. That a row is
// not seen never counts as a failure.
func (s *Store) resolve(xid postgres.XID, change kms.ID) (postgres.LSN, error) {
	for pause := resolveFirst; ; pause = min(2*pause, resolveLast) {
		at, settled, err := s.fate(xid, change)
		if settled {
			return at, err
		}
		select {
		case <-s.life.Done():
			return 0, kms.ErrOutcomeUnknown
		case <-time.After(pause):
		}
	}
}

// fate asks once. settled is false while the transaction runs, while the database does not answer, and while this start
// of it is not compared with the peer: an older copy of the data would have given the xid to another transaction.
func (s *Store) fate(xid postgres.XID, change kms.ID) (at postgres.LSN, settled bool, err error) {
	ctx, cancel := context.WithTimeout(s.life, readDeadline)
	defer cancel()
	conn, err := s.reads.Acquire(ctx)
	if err != nil {
		return 0, false, nil
	}
	defer conn.Release()
	if s.visibility().uncertain != nil {
		return 0, false, nil
	}
	var status *string
	if err := conn.QueryRow(ctx, "select pg_xact_status($1)", uint64(xid)).Scan(&status); err != nil || status == nil {
		return 0, false, nil // an xid that the server has not given yet is an error: it lost the end of its WAL
	}
	switch *status {
	case "aborted":
		return 0, true, fmt.Errorf("committing change %s: %w", change, errAborted)
	case "committed":
	default:
		return 0, false, nil
	}
	var ours bool
	if err := conn.QueryRow(ctx, "select exists (select from key_change where id = $1 and xid = $2)", change, uint64(xid)).Scan(&ours); err != nil {
		return 0, false, nil
	}
	if !ours {
		return 0, true, kms.ErrOutcomeUnknown // a crash lost our transaction and its xid was given to another
	}
	if at, err = flushed(ctx, conn); err != nil {
		return 0, false, nil
	}
	return at, true, nil
}
