package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/jackc/pgx/v5"

	"keytrustee/kms/seal"
	"keytrustee/replication"
)

// storeSecrets puts the boxes and wraps of the confdir into the control tables, so that a backup and the passive have
// them.
func (h *Host) storeSecrets(ctx context.Context, conn *pgx.Conn) error {
	wraps, err := seal.ReadWraps(h.Confdir)
	if err != nil {
		return err
	}
	boxes := map[string][]byte{}
	for _, name := range []string{authorityBox, cookieBox, backupBox} {
		box, err := os.ReadFile(sealedFile(h.Confdir, name))
		if name == backupBox && errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		boxes[name] = box
	}
	return replication.Control(ctx, conn, func(tx pgx.Tx) error {
		for name, box := range boxes {
			if err := storeBox(ctx, tx, name, box); err != nil {
				return err
			}
		}
		return storeWraps(ctx, tx, wraps)
	})
}

// storeBox puts a box into the control tables, within a control write.
func storeBox(ctx context.Context, tx pgx.Tx, name string, box []byte) error {
	if _, err := tx.Exec(ctx, `insert into control.boxes (name, box) values ($1, $2)
		on conflict (name) do update set box = excluded.box where control.boxes.box <> excluded.box`, name, box); err != nil {
		return fmt.Errorf("storing the box %s: %w", name, err)
	}
	return nil
}

// storeWraps puts wraps into the control tables, within a control write.
func storeWraps(ctx context.Context, tx pgx.Tx, wraps []seal.Wrap) error {
	for _, w := range wraps {
		text, err := json.Marshal(w)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `insert into control.kek_wraps (kek, recipient, wrap) values ($1, $2, $3)
			on conflict (kek, recipient) do update set wrap = excluded.wrap`, w.KEK, w.Recipient, text); err != nil {
			return fmt.Errorf("storing a wrap: %w", err)
		}
	}
	return nil
}
