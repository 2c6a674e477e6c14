package pgstore

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"keytrustee/kms"
)

const sweep = `
update key_version v set sealed = null, check_value = null where v.sealed is not null and exists (
	select from key_change c where c.key_id = v.key_id and c.kind = 'purged' and ` + visible + `)`

// Sweep removes the material of keys whose purge is confirmed. When it returns nil none is left on either host but in what
// PostgreSQL has not yet vacuumed, in WAL and in backups. It is called on an active with an open gate only; while another
// Sweep waits for the standby it does nothing.
func (s *Store) Sweep(ctx context.Context) error {
	if !s.sweeping.TryLock() {
		return nil
	}
	f := s.visibility()
	if f.uncertain != nil {
		s.sweeping.Unlock()
		return f.uncertain
	}
	conn, err := s.writes.Acquire(ctx)
	if err != nil {
		s.sweeping.Unlock()
		return s.refusal(ctx, err)
	}
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{BeginQuery: begin})
	if err == nil {
		_, err = tx.Exec(ctx, sweep, f.args()...)
	}
	if err != nil {
		s.rollback(tx)
		conn.Release()
		s.sweeping.Unlock()
		return fmt.Errorf("sweeping purged keys: %w", err)
	}
	answer := s.commit(conn, tx)
	result := make(chan error, 1)
	go func() { // the lock stays until COMMIT was answered, so that no second one waits beside it
		defer s.sweeping.Unlock()
		switch c := <-answer; c.outcome {
		case done:
			result <- nil
		case notDone:
			result <- fmt.Errorf("sweeping purged keys: %w", c.err)
		default:
			result <- kms.ErrOutcomeUnknown
		}
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.life.Done():
		return kms.ErrOutcomeUnknown
	}
}

// sweepOnce follows a confirmed purge.
func (s *Store) sweepOnce() {
	if err := s.Sweep(s.life); err != nil && s.life.Err() == nil {
		s.log.Warn("the material of a purged key is not removed yet", "error", err)
	}
}
