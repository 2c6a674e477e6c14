package host

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"keytrustee/kms/seal"
)

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
