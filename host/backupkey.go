package host

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"keytrustee/internal/durable"
	"keytrustee/kms/seal"
	"keytrustee/replication"
)

// keepBackupKey keeps the key of the backups in the confdir, sealed. One that is there already, and is the same, stays.
func (h *Host) keepBackupKey(ring *seal.Keyring, key *seal.BackupKey) error {
	path := sealedFile(h.Confdir, backupBox)
	if box, err := os.ReadFile(path); err == nil {
		if have, err := ring.OpenBackupKey(box); err == nil && have.Recovery() == key.Recovery() && bytes.Equal(have.MAC(nil), key.MAC(nil)) {
			return nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	box, err := ring.SealBackupKey(key)
	if err != nil {
		return err
	}
	if err := durable.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return durable.WriteFile(path, box, 0o600)
}

// BackupKey is what the backups of this host are authenticated with; nil where neither this host nor, as far as its database says, the
// other one has seen the recovery key. Where the confdir has none, a damaged one or that of a recovery key that was replaced, that of the
// database counts, if it is of this recovery key, and is kept in the confdir.
func (h *Host) BackupKey(ctx context.Context, ring *seal.Keyring) (*seal.BackupKey, error) {
	public, err := seal.ReadRecovery(h.Confdir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	open := func(box []byte) (*seal.BackupKey, error) {
		key, err := ring.OpenBackupKey(box)
		if err != nil {
			return nil, hinted("ktadmin root-key confirm-recovery makes it anew", "the key of the backups: %w", err)
		}
		if key.Recovery() != public.Fingerprint() { // of a recovery key that was replaced
			return nil, nil
		}
		return key, nil
	}
	box, err := os.ReadFile(sealedFile(h.Confdir, backupBox))
	var key *seal.BackupKey
	var damaged error
	switch {
	case err == nil:
		if key, damaged = open(box); key != nil {
			return key, nil
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if box, err = h.storedBackupKey(ctx); err == nil && box != nil {
		key, err = open(box)
	}
	if key == nil {
		return nil, cmp.Or(damaged, err)
	}
	return key, h.keepBackupKey(ring, key)
}

// storedBackupKey is the box that this host's database holds; nil: none, or it does not run.
func (h *Host) storedBackupKey(ctx context.Context) (box []byte, err error) {
	server, err := h.Server(ctx)
	if err != nil {
		return nil, err
	}
	if _, runs := server.Pid(); !runs {
		return nil, nil
	}
	conn, err := h.connect(ctx, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	err = conn.QueryRow(ctx, "select box from control.boxes where name = $1", backupBox).Scan(&box)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("reading the key of the backups: %w", err)
	}
	return box, nil
}

// ShareBackupKey puts the key of the backups, if this host has it, into the database of an active that runs, so that the passive has
// it too. shared says that it lies there; a passive, a fenced host and one whose PostgreSQL does not run have nowhere to put it.
func (h *Host) ShareBackupKey(ctx context.Context) (shared bool, err error) {
	box, err := os.ReadFile(sealedFile(h.Confdir, backupBox))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	s, err := h.Status()
	if err != nil || s.State == nil || s.State.Duty != replication.Active || s.State.Fenced != nil {
		return false, err
	}
	server, err := h.Server(ctx)
	if err != nil {
		return false, err
	}
	if _, runs := server.Pid(); !runs {
		return false, nil
	}
	conn, err := h.connect(ctx, server)
	if err != nil {
		return false, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var there, recovers bool
	if err := conn.QueryRow(ctx, "select exists (select from control.boxes where name = $1 and box = $2), pg_is_in_recovery()", backupBox, box).Scan(&there, &recovers); err != nil {
		return false, fmt.Errorf("looking for the key of the backups: %w", err)
	}
	if there || recovers {
		return there, nil
	}
	err = replication.Control(ctx, conn, func(tx pgx.Tx) error { return storeBox(ctx, tx, backupBox, box) })
	return err == nil, err
}
