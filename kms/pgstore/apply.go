package pgstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"keytrustee/kms"
	"keytrustee/postgres"
)

// begin has no savepoints after it, ever: with more than 64 subtransactions a cold standby accepts no connections.
const begin = "begin; set local synchronous_commit = remote_apply; set local lock_timeout = '1s'"

const insertKey = `
insert into key (id, name, generation, cipher, bit_length, description, attributes, created, created_by)
select $4, $5, (select count(*) from key o where o.name = $5 and exists (
	select from key_change c where c.key_id = o.id and c.kind = 'purged' and ` + visible + `)),
	$6, $7, $8, $9, $10, $11`

const insertVersion = `
insert into key_version (id, key_id, ordinal, name, kek, sealed, check_value) values ($1, $2, $3, $4, $5, $6, $7)`

// insertChange inserts nothing unless the change before it is there and the key still is.
const insertChange = `
insert into key_change (id, key_id, seq, kind, version_id, at, by_whom, from_where, request_id)
select $1, $2, $3, $4, $5, $6, $7, $8, $9
where $3 = 0 or exists (select from key_change p where p.key_id = $2 and p.seq = $3 - 1 and p.kind <> 'purged')
returning xid`

// Apply makes one change, as kms.Store says. Until COMMIT is sent ctx bounds it and nothing has happened if it fails.
// From there on nothing cuts it short but Close.
func (s *Store) Apply(ctx context.Context, c kms.Change, key *kms.Key, version *kms.SealedVersion) error {
	conn, err := s.writes.Acquire(ctx)
	if err != nil {
		return s.refusal(ctx, err)
	}
	filter := s.visibility()
	if filter.uncertain != nil {
		conn.Release()
		return filter.uncertain // a creation could not tell a purged name from a taken one
	}
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{BeginQuery: begin})
	if err != nil {
		conn.Release()
		return s.refusal(ctx, err)
	}
	xid, err := insert(ctx, tx, filter, c, key, version)
	if err == nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		// Without COMMIT nothing has happened, whether ROLLBACK arrives or not.
		s.rollback(tx)
		conn.Release()
		return s.explain(ctx, err, c, key)
	}
	row := c.ID
	if version != nil {
		row = version.ID
	}
	if err := s.settle(s.commit(conn, tx), xid, c.ID, row); err != nil {
		return err
	}
	if c.Kind == kms.Purged {
		s.background.Go(s.sweepOnce)
	}
	return nil
}

func insert(ctx context.Context, tx pgx.Tx, f filter, c kms.Change, key *kms.Key, v *kms.SealedVersion) (postgres.XID, error) {
	if key != nil {
		attributes, err := json.Marshal(key.Attributes)
		if err != nil {
			return 0, err
		}
		if _, err := tx.Exec(ctx, insertKey, f.args(key.ID, string(key.Name), key.Cipher, key.BitLength, key.Description,
			string(attributes), key.Created, key.CreatedBy)...); err != nil {
			return 0, err
		}
	}
	var made *kms.ID
	if v != nil {
		made = &v.ID
		if _, err := tx.Exec(ctx, insertVersion, v.ID, v.KeyID, v.Ordinal, string(v.Name), v.KEK, v.Sealed, v.Check); err != nil {
			return 0, err
		}
	}
	var request *string
	if c.RequestID != "" {
		request = &c.RequestID
	}
	var xid uint64
	err := tx.QueryRow(ctx, insertChange, c.ID, c.KeyID, c.Seq, string(c.Kind), made, c.At, c.By, c.From, request).Scan(&xid)
	return postgres.XID(xid), err
}

// rollback gives up a transaction. If it can not say so, it closes the connection, which says the same.
func (s *Store) rollback(tx pgx.Tx) {
	if tx == nil {
		return
	}
	ctx, cancel := context.WithTimeout(s.life, time.Second)
	defer cancel()
	tx.Rollback(ctx)
}

// explain turns what stopped a transaction before COMMIT into the error that kms.Store promises.
func (s *Store) explain(ctx context.Context, err error, c kms.Change, key *kms.Key) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return kms.ErrConflict // insertChange: the change before this one is not there, or purged the key
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.SeverityUnlocalized != "ERROR" {
		return s.refusal(ctx, err)
	}
	switch {
	case pg.Code == lockNotAvailable:
		return s.busy(c.KeyID)
	case pg.Code == foreignKeyViolation:
		return kms.ErrConflict // there is no such key
	case pg.Code != uniqueViolation:
		return fmt.Errorf("making change %s of key %s: %w", c.Kind, c.KeyID, err)
	}
	switch pg.ConstraintName {
	case "key_name_generation":
		existing, err := s.Key(ctx, key.Name)
		if errors.Is(err, kms.ErrKeyNotFound) {
			return s.busy(c.KeyID) // taken by a creation that is not confirmed, or freed this moment
		} else if err != nil {
			return err
		}
		return &kms.ExistsError{Name: key.Name, Key: &existing}
	case "key_change_seq", "key_version_ordinal":
		return s.otherwiseBusy(ctx, c, "c.key_id = $4 and c.seq = $5", c.KeyID, c.Seq)
	case "key_change_request":
		return s.otherwiseBusy(ctx, c, "c.request_id = $4", c.RequestID)
	}
	return fmt.Errorf("making change %s of key %s: %w", c.Kind, c.KeyID, err)
}

// otherwiseBusy returns kms.ErrConflict if the change that stood in the way is confirmed.
func (s *Store) otherwiseBusy(ctx context.Context, c kms.Change, where string, args ...any) error {
	var confirmed bool
	err := s.read(ctx, func(ctx context.Context, q querier, f filter) error {
		if f.uncertain != nil {
			return f.uncertain
		}
		return q.QueryRow(ctx, "select exists (select from key_change c where "+visible+" and "+where+")", f.args(args...)...).Scan(&confirmed)
	})
	if err != nil {
		return err
	}
	if !confirmed {
		return s.busy(c.KeyID)
	}
	return kms.ErrConflict
}

// busy refuses a change because another one, of unknown outcome so far, is in its way.
func (s *Store) busy(key kms.ID) error {
	return &kms.ReadOnlyError{Reason: kms.ReasonBusy, Host: s.host, Remedy: kms.ElsewherePeer,
		Sentence: "another change of this name or key (" + key.String() + ") is not confirmed yet; try again"}
}

// refusal says why a change was not attempted: the gate closed, the caller went away, no connection was free or the
// database does not answer.
func (s *Store) refusal(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		cause := context.Cause(ctx)
		if errors.Is(cause, context.DeadlineExceeded) {
			return &kms.ReadOnlyError{Reason: kms.ReasonBusy, Host: s.host, Remedy: kms.ElsewherePeer,
				Sentence: "too many changes wait for the passive's confirmation; try again"}
		}
		return cause
	}
	if f := s.visibility(); f.uncertain != nil {
		return f.uncertain // it knows why
	}
	s.log.Warn("a change was not attempted", "error", err)
	return s.databaseGone()
}

func (s *Store) databaseGone() error {
	return kms.NotReadyError(s.host, kms.ReasonStarting, "the database of "+s.hostName()+" does not answer yet")
}

func (s *Store) hostName() string {
	if s.host == "" {
		return "this host"
	}
	return s.host
}
