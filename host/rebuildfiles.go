package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/jackc/pgx/v5"

	"keytrustee/internal/durable"
	"keytrustee/kms/seal"
	"keytrustee/replication"
)

// optional are files that an operator may have put on a bare host. A rebuild leaves them as they are, but for node.yaml, which it writes.
var optional = []string{settingsFile, "kms-acls.xml", "kms-site.xml", "node.yaml", "ssl-cert-keytrustee.pem", "ssl-cert-keytrustee-pk.pem", "ssl-cert-keytrustee-ca.pem"}

// makes are what a rebuild makes.
func (h *Host) makes() []string {
	cluster, public := h.ClusterFiles(), h.PublicFiles()
	paths := []string{h.StateFile(), h.nodeFile(), h.made(), seal.RootPath(h.Confdir), filepath.Join(h.Confdir, seal.KEKDir),
		cluster.Cert, cluster.Key, public.Cert, public.Key, public.CA}
	for _, name := range bundled {
		paths = append(paths, filepath.Join(h.Confdir, name))
	}
	return append(paths, h.bindingFiles()...)
}

// claim notes what this rebuild makes, before it makes any of it, and removes what an earlier attempt has made.
func (r *rebuild) claim(journal *Journal) error {
	if journal.Backup == nil {
		var absent []string
		for _, path := range r.makes() {
			if have, err := exists(path); err != nil {
				return err
			} else if !have {
				absent = append(absent, path)
			}
		}
		journal.Backup = &ofBackup{Of: r.backup.Host, Started: r.backup.Started, Makes: absent}
		return r.saveJournal(journal)
	}
	if err := r.removeMade(journal); err != nil {
		return err
	}
	journal.Backup.Ended, journal.Backup.Made = false, nil
	return r.saveJournal(journal)
}

// noteMade notes what an attempt has made that has come to an end and has not succeeded.
func (h *Host) noteMade() error {
	journal, err := h.Journal()
	if err != nil || journal == nil || journal.Backup == nil {
		return err
	}
	made := map[string]string{}
	for _, path := range journal.Backup.Makes {
		sum, err := sumOfFile(path)
		if err != nil {
			return err
		}
		if sum != "" {
			made[path] = sum
		}
	}
	journal.Backup.Ended, journal.Backup.Made = true, made
	return h.saveJournal(journal)
}

// sumOfFile is the SHA-256 of a file; empty, if there is none, or a directory.
func sumOfFile(path string) (string, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() {
		return "", nil
	} else if err != nil {
		return "", err
	}
	text, err := os.ReadFile(path)
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), err
}

// removeMade removes what a rebuild has made. What somebody has put in its place since stays, and is none of Makes any more.
func (h *Host) removeMade(journal *Journal) error {
	if journal.Backup == nil {
		return nil
	}
	var ours []string
	for _, path := range journal.Backup.Makes {
		sum, err := sumOfFile(path)
		if err != nil {
			return err
		}
		if journal.Backup.Ended && sum != "" && sum != journal.Backup.Made[path] {
			continue
		}
		ours = append(ours, path)
	}
	journal.Backup.Makes = ours
	for _, path := range ours {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
		dir := filepath.Dir(path)
		if have, err := exists(dir); err != nil {
			return err
		} else if have {
			if err := durable.SyncDir(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// readFiles reads what of the backup's files is wanted, before they go: they do not lie where they can stay.
func (r *rebuild) readFiles() (err error) {
	state, err := os.ReadFile(filepath.Join(r.backup.Config, "node", "state.json"))
	if err != nil {
		return err
	}
	if r.was, err = replication.ParseState(state); err != nil {
		return fmt.Errorf("the state of %s %w", r.backup.Host, err)
	}
	found, err := filepath.Glob(filepath.Join(r.backup.Config, "*", seal.AuthorityFile))
	if err != nil || len(found) != 1 {
		return errors.Join(err, fmt.Errorf("there is no %s", seal.AuthorityFile))
	}
	r.confdir = filepath.Dir(found[0]) // whatever its name was
	r.files = map[string][]byte{}
	for _, name := range append([]string{ownCertificate}, bundled...) {
		text, err := os.ReadFile(filepath.Join(r.confdir, name))
		if err == nil {
			r.files[name] = text
		} else if !os.IsNotExist(err) {
			return err
		}
	}
	r.wraps, err = seal.ReadWraps(r.confdir)
	return err
}

// ownCertificate is where a confdir has the certificate that the peer sees.
const ownCertificate = ".ssl/cluster.pem"

// writeFiles writes the cluster's files, as the backup has them, into the confdir.
func (r *rebuild) writeFiles() error {
	if err := durable.MkdirAll(r.Confdir, 0o700); err != nil {
		return err
	}
	var files []bundleFile
	for _, name := range bundled {
		if text := r.files[name]; text != nil {
			files = append(files, bundleFile{name, text})
		}
	}
	if err := r.unbundle(files); err != nil {
		return err
	}
	return seal.WriteWraps(r.Confdir, r.wraps)
}

// dropWraps removes the wraps of all root keys from the confdir but for this host's and the recovery key: one that was lost opens
// nothing here, and one that was stolen is not to.
func (h *Host) dropWraps(root seal.Public) error {
	recovery, err := seal.ReadRecovery(h.Confdir)
	if err != nil {
		return err
	}
	wraps, err := seal.ReadWraps(h.Confdir)
	if err != nil {
		return err
	}
	for _, w := range wraps {
		if w.Recipient == root.Fingerprint() || w.Recipient == recovery.Fingerprint() {
			continue
		}
		if err := durable.Remove(seal.WrapPath(h.Confdir, w)); err != nil {
			return err
		}
	}
	return nil
}

// forgetWraps removes from the database the wraps that the confdir has not.
func (r *rebuild) forgetWraps(ctx context.Context, conn *pgx.Conn) error {
	wraps, err := seal.ReadWraps(r.Confdir)
	if err != nil {
		return err
	}
	var kept []string
	for _, w := range wraps {
		kept = append(kept, w.Recipient)
	}
	slices.Sort(kept)
	return replication.Control(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "delete from control.kek_wraps where recipient <> all($1)", slices.Compact(kept)); err != nil {
			return fmt.Errorf("removing the wraps of the lost hosts: %w", err)
		}
		return nil
	})
}
