package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
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

// RootKeyRemedy is what to do about a root key of this host that is not there or opens nothing.
const RootKeyRemedy = "put this host's own root.key back, with mode 0600 and the service's user as its owner; if it is gone for good: ktadmin root-key recover --recovery-key FILE " +
	"(docs/runbook/root-key-lost.md)"

// RecoverRoot gives this host a new root key in the place of one that is gone or opens nothing. text is the private half of the recovery
// key, as a person keeps it: it opens the KEKs, which are then wrapped to the new root key, and it is kept nowhere. When RecoverRoot
// returns nil, all of it is durable, and a daemon that runs takes the new key when it next looks at the file; aside is where the file lies
// that was in its place, empty if there was none. A root key that opens everything is refused: it is not replaced. It may be repeated.
func (h *Host) RecoverRoot(ctx context.Context, text string, now time.Time) (aside string, err error) {
	err = h.whole(ctx, func() error {
		if _, err := seal.Load(h.Confdir); err == nil {
			return hinted("nothing was changed; ktadmin status shows how this host stands", "the root key of this host is there and opens every key-encryption key")
		}
		recovered, err := seal.LoadWithRecovery(h.Confdir, text)
		if err != nil {
			return err
		}
		if err := h.signable(ctx, recovered, now); err != nil {
			return err
		}
		aside, err = h.replaceRoot(recovered, now)
		return err
	})
	return aside, err
}

// signable renews this host's certificates where that of the cluster has ended: what it signs is believed by nobody then, and neither by
// this host.
func (h *Host) signable(ctx context.Context, recovered *seal.Keyring, now time.Time) error {
	signer, err := h.signer(now)
	if err != nil {
		return err
	}
	if now.Before(signer.Certificate.NotAfter) {
		return nil
	}
	return h.renew(ctx, recovered, RenewOptions{}, now)
}

// replaceRoot makes a root key, wraps the KEKs to it, drops the wraps of others but the recovery key's, and gives it its name last: when it
// has that, nothing is left to do.
func (h *Host) replaceRoot(recovered *seal.Keyring, now time.Time) (aside string, err error) {
	path := seal.RootPath(h.Confdir)
	if err := durable.Remove(path + ".new"); err != nil { // of an attempt that broke off
		return "", err
	}
	root, err := seal.NewRoot(path + ".new")
	if err != nil {
		return "", err
	}
	signer, err := h.signer(now)
	if err != nil {
		return "", err
	}
	wraps, err := recovered.WrapFor(root.Public(), signer)
	if err != nil {
		return "", err
	}
	if err := seal.WriteWraps(h.Confdir, wraps); err != nil {
		return "", err
	}
	if err := h.reached("recover: wrapped"); err != nil {
		return "", err
	}
	if _, err := os.Lstat(path); err == nil {
		if aside, err = asideName(path, ""); err != nil {
			return "", err
		}
		if err := durable.Rename(path, aside); err != nil {
			return "", err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := h.reached("recover: moved aside"); err != nil {
		return "", err
	}
	// Before it has its name: until then the command may be repeated, and afterwards a root key that opens everything is refused.
	if err := h.dropWraps(root.Public()); err != nil {
		return "", err
	}
	if err := h.reached("recover: dropped"); err != nil {
		return "", err
	}
	if err := durable.Rename(path+".new", path); err != nil {
		return "", err
	}
	return aside, h.reached("recover: named")
}
