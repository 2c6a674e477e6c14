package host

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"keytrustee/kms/seal"
)

// BackupFiles are the files that a rebuilt host needs beside its database, by their names below the home, as they are now: the
// settings, this host's state, the wraps and boxes, which nobody opens without a root key or the recovery key, and
// certificates. Of a file with certificates it takes the certificates alone, so that no private key is among it even where an
// operator keeps both in one file. A file that is not there is left out.
func (h *Host) BackupFiles() (map[string][]byte, error) {
	paths := []string{filepath.Join(h.NodeDir(), "node.yaml"), h.StateFile()}
	for _, name := range bundled {
		paths = append(paths, filepath.Join(h.Confdir, name))
	}
	wraps, err := seal.ReadWraps(h.Confdir)
	if err != nil {
		return nil, err
	}
	for _, w := range wraps {
		paths = append(paths, seal.WrapPath(h.Confdir, w))
	}
	certificates := []string{h.AuthorityFile(), h.PublicFiles().Cert, h.PublicFiles().CA, h.ClusterFiles().Cert}
	files := map[string][]byte{}
	for _, path := range append(paths, certificates...) {
		name, err := filepath.Rel(h.Home(), path)
		if err != nil {
			return nil, err
		}
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("reading what belongs in a backup: %w", err)
		}
		files[name] = text
	}
	for _, path := range certificates {
		if name, err := filepath.Rel(h.Home(), path); err == nil && files[name] != nil {
			files[name] = onlyCertificates(files[name])
		}
	}
	return files, nil
}

// BackupLock is the lock of whoever makes a backup of this host.
func (h *Host) BackupLock() string { return filepath.Join(h.NodeDir(), "backup.lock") }

// BackupAttempt is the file that tells of the last attempt to make a backup of this host.
func (h *Host) BackupAttempt() string { return filepath.Join(h.NodeDir(), "backup.json") }

// ShipLock is the lock of whoever sends this host's backups elsewhere.
func (h *Host) ShipLock() string { return filepath.Join(h.NodeDir(), "ship.lock") }

// RestoreTestFile is where this host keeps what the last restore test has shown.
func (h *Host) RestoreTestFile() string { return filepath.Join(h.NodeDir(), "restore-test.json") }

// onlyCertificates is what of a PEM text is a certificate.
func onlyCertificates(text []byte) []byte {
	certificates := []byte{}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			certificates = append(certificates, pem.EncodeToMemory(block)...)
		}
	}
	return certificates
}
