package host

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"keytrustee/internal/durable"
)

// beforeDir keeps, while a join has not ended, what this host had of the files that the join replaces.
func (h *Host) beforeDir() string { return filepath.Join(h.NodeDir(), "before") }

// before is where the file of that path, below the host's home, lies there.
func (h *Host) before(path string) string {
	return filepath.Join(h.beforeDir(), strings.ReplaceAll(strings.TrimPrefix(path, h.Home()+"/"), "/", "-"))
}

// replaced are the files that a join replaces and that make this host the one that its peer knows, in rows of what belongs together.
func (h *Host) replaced() [][]string {
	cluster, public := h.ClusterFiles(), h.PublicFiles()
	return [][]string{{cluster.Cert, cluster.Key}, {public.Cert, public.Key, public.CA}, {h.nodeFile()}, h.bindingFiles()}
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
	for _, path := range slices.Concat(h.replaced()...) {
		if err := copyFile(h.before(path), path); err != nil {
			return err
		}
	}
	journal.Before = true
	return h.saveJournal(journal)
}

// putFilesBack makes the files that a join has replaced what they were. Where none of a row was there, what the join has installed
// stays: the host was a bare one.
func (h *Host) putFilesBack(journal *Journal) error {
	if !journal.Before {
		return nil
	}
	for _, row := range h.replaced() {
		if err := h.putRowBack(row); err != nil {
			return err
		}
	}
	return nil
}

func (h *Host) putRowBack(row []string) error {
	var gone []string
	for _, path := range row {
		if have, err := exists(h.before(path)); err != nil {
			return err
		} else if !have {
			gone = append(gone, path)
		} else if err := copyFile(path, h.before(path)); err != nil {
			return err
		}
	}
	if len(gone) == len(row) {
		return nil
	}
	for _, path := range gone { // a new certificate beside the old key is nobody's
		if err := durable.Remove(path); err != nil {
			return err
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
