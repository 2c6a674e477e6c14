package host

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"keytrustee/internal/durable"
)

// beforeDir keeps, while a join has not ended, what this host had of the files that the join replaces.
func (h *Host) beforeDir() string { return filepath.Join(h.NodeDir(), "before") }

// before is where the file of that path lies there. No two of them have one name.
func (h *Host) before(path string) string { return filepath.Join(h.beforeDir(), filepath.Base(path)) }

// replaced are the files that a join replaces and that make this host the one that its peer knows, in rows: a key without its
// certificate is nobody's.
func (h *Host) replaced() [][]string {
	cluster, public := h.ClusterFiles(), h.PublicFiles()
	return [][]string{{cluster.Cert, cluster.Key}, {public.Cert, public.Key, public.CA}, {h.nodeFile()}}
}

// nodeFile is this host's own configuration, which Settings writes.
func (h *Host) nodeFile() string { return filepath.Join(h.NodeDir(), "node.yaml") }

// keepFiles keeps what this host has of the files that the join replaces, before the first attempt replaces any. When it returns nil
// they lie in beforeDir and the journal says so.
func (h *Host) keepFiles(journal *Journal) error {
	if journal.Before {
		return nil
	}
	if err := os.RemoveAll(h.beforeDir()); err != nil { // of a join that ended and was killed in that moment
		return err
	}
	if err := durable.MkdirAll(h.beforeDir(), 0o700); err != nil {
		return err
	}
	for _, files := range h.replaced() {
		if have, err := exists(files[0]); err != nil {
			return err
		} else if !have {
			continue
		}
		for _, path := range files {
			if err := copyFile(h.before(path), path); err != nil {
				return err
			}
		}
	}
	journal.Before = true
	return h.saveJournal(journal)
}

// putFilesBack makes the files that a join has replaced what they were. A file that was not there stays what it is.
func (h *Host) putFilesBack(journal *Journal) error {
	if !journal.Before {
		return nil
	}
	for _, files := range h.replaced() {
		for _, path := range files {
			if err := copyFile(path, h.before(path)); err != nil {
				return err
			}
		}
	}
	return nil
}

// copyFile makes to what from is, durably. Where from is not there it does nothing.
func copyFile(to, from string) error {
	text, err := os.ReadFile(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	return durable.WriteFile(to, text, info.Mode().Perm())
}
