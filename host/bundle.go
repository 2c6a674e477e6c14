package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"keytrustee/internal/durable"
	"keytrustee/kms/seal"
)

// bundleFile is a file of the confdir that travels to a joiner. None of them opens anything without a root key.
type bundleFile struct {
	Path string `json:"path"` // within the confdir
	Data []byte `json:"data"`
}

// bundled are the files that travel. Wraps travel beside them, verified one by one; root.key and .ssl never do.
var bundled = []string{
	seal.AuthorityFile, seal.RecoveryFile, settingsFile, sealedFile("", authorityBox), sealedFile("", cookieBox), sealedFile("", backupBox), "kms-acls.xml", "kms-site.xml",
	confirmationFile,
}

// operators are files that an operator edits: a joiner keeps its own.
var operators = []string{settingsFile, "kms-acls.xml", "kms-site.xml"}

func (h *Host) bundle() ([]bundleFile, error) {
	var files []bundleFile
	for _, path := range bundled {
		data, err := os.ReadFile(filepath.Join(h.Confdir, path))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		files = append(files, bundleFile{path, data})
	}
	return files, nil
}

// unbundle writes what came from the active into the confdir.
func (h *Host) unbundle(files []bundleFile) error {
	for _, f := range files {
		if !slices.Contains(bundled, f.Path) {
			return fmt.Errorf("the active sent a file that no joiner takes: %q", f.Path)
		}
		path := filepath.Join(h.Confdir, f.Path)
		if have, err := exists(path); err != nil {
			return err
		} else if have && slices.Contains(operators, f.Path) {
			continue
		}
		if err := durable.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if filepath.Dir(f.Path) == "sealed" {
			mode = 0o600
		}
		if err := durable.WriteFile(path, f.Data, mode); err != nil {
			return err
		}
	}
	return nil
}
