package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
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
	} else {
		if _, err := r.removeMade(journal, true); err != nil {
			return err
		}
		journal.Backup.Ended, journal.Backup.Made = false, nil
	}
	if err := r.saveJournal(journal); err != nil {
		return err
	}
	r.claimed = true
	return nil
}

// noteMade notes what this attempt has made, which has come to an end and has not succeeded. What lies there when it ended before it made
// anything may be somebody else's.
func (r *rebuild) noteMade() error {
	if !r.claimed {
		return nil
	}
	journal, err := r.Journal()
	if err != nil || journal == nil || journal.Backup == nil {
		return err
	}
	made := map[string]string{}
	for _, path := range journal.Backup.Makes {
		sums, err := sumsBelow(path)
		if err != nil {
			return err
		}
		maps.Copy(made, sums)
	}
	journal.Backup.Ended, journal.Backup.Made = true, made
	return r.saveJournal(journal)
}

// sumsBelow has the SHA-256 of the file at path, or of each one below it; none, if nothing is there. What is no file has a sum that no file has.
func sumsBelow(path string) (map[string]string, error) {
	sums := map[string]string{}
	err := filepath.WalkDir(path, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !d.Type().IsRegular() {
			sums[path] = "no file"
			return nil
		}
		text, err := os.ReadFile(path)
		sum := sha256.Sum256(text)
		sums[path] = hex.EncodeToString(sum[:])
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return sums, err
}

// made reports whether all that lies at path, and is a file, is known to be what the last attempt had made.
func (b *ofBackup) made(path string) (bool, error) {
	sums, err := sumsBelow(path)
	if err != nil {
		return false, err
	}
	for file, sum := range sums {
		if !b.Ended || sum != b.Made[file] {
			return false, nil
		}
	}
	return true, nil
}

// removeMade removes what a rebuild has made. What somebody has put in its place since stays, and is none of Makes any more. What an attempt
// was making that was killed may be either, and goes; but a root key and what it opens are moved aside then, and where their places are needed
// too: nobody else has another copy of them.
func (h *Host) removeMade(journal *Journal, needed bool) (aside []string, err error) {
	b := journal.Backup
	if b == nil {
		return nil, nil
	}
	var ours []string
	for _, path := range b.Makes {
		made, err := b.made(path)
		if err != nil {
			return aside, err
		}
		keys := path == seal.RootPath(h.Confdir) || path == filepath.Join(h.Confdir, seal.KEKDir)
		if !made && b.Ended && !(keys && needed) {
			continue
		}
		ours = append(ours, path)
		if !made && keys {
			to, err := asideName(path, "")
			if err != nil {
				return aside, err
			}
			if err := durable.Rename(path, to); err != nil {
				return aside, err
			}
			aside = append(aside, to)
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			return aside, err
		}
		dir := filepath.Dir(path)
		if have, err := exists(dir); err != nil {
			return aside, err
		} else if have {
			if err := durable.SyncDir(dir); err != nil {
				return aside, err
			}
		}
	}
	b.Makes = ours
	return aside, nil
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
