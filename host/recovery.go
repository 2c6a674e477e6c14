package host

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	"keytrustee/internal/durable"
	"keytrustee/kms/seal"
)

// confirmation says that somebody showed the recovery key.
type confirmation struct {
	Fingerprint string    `json:"fingerprint"`
	At          time.Time `json:"at"`
}

func parseConfirmation(text []byte) (c confirmation, err error) {
	if err := json.Unmarshal(text, &c); err != nil {
		return c, fmt.Errorf("the confirmation of the recovery key is damaged: %w", err)
	}
	return c, nil
}

// ConfirmRecovery writes down that somebody holds the recovery key, after key, its private half as a person keeps it, has
// opened every KEK of the confdir, and keeps what backups are authenticated with, which is derived from key. The key itself is kept
// nowhere.
func (h *Host) ConfirmRecovery(key string, now time.Time) error {
	ring, err := seal.Load(h.Confdir)
	if err != nil {
		return err
	}
	if err := ring.ConfirmRecovery(key); err != nil {
		return err
	}
	root, err := seal.ParseRecovery(key)
	if err != nil {
		return err
	}
	backups, err := root.BackupKey()
	if err != nil {
		return err
	}
	if err := h.keepBackupKey(ring, backups); err != nil {
		return err
	}
	text, err := json.Marshal(confirmation{root.Public().Fingerprint(), now.UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(h.Confdir, confirmationFile), append(text, '\n'), 0o644)
}
