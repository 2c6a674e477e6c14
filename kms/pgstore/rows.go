package pgstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"keytrustee/kms"
)

// Row is one row of a write, as this host's own PostgreSQL has it, whatever the filter says. It is for proofs only: on the
// active it may be a row that the passive never gets.
type Row struct {
	Version *kms.SealedVersion // of a creation or a roll
	Change  *kms.Change        // of anything else
}

const (
	rowVersion = ` from key_version v join key k on k.id = v.key_id join key_change c on c.version_id = v.id where v.id = $1`
	rowChange  = ` from key_change c where c.id = $1`
)

// Row returns the version, or else the change, of that id. If the database has neither, the error is kms.ErrVersionNotFound.
func (s *Store) Row(ctx context.Context, id kms.ID) (Row, error) {
	var v versionRow
	var c changeRow
	var found Row
	err := s.read(ctx, func(ctx context.Context, q querier, _ filter) error {
		err := q.QueryRow(ctx, `select `+versionColumns+`, `+madeColumns+rowVersion, id).Scan(v.dest()...)
		if err == nil {
			version := v.version()
			found.Version = &version
			return nil
		} else if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if err := q.QueryRow(ctx, `select `+madeColumns+rowChange, id).Scan(c.dest()...); err != nil {
			return err
		}
		change := c.change()
		found.Change = &change
		return nil
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return Row{}, fmt.Errorf("row %s is not in the database of %s: %w", id, s.hostName(), kms.ErrVersionNotFound)
	}
	return found, err
}
