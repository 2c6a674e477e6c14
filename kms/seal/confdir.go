package seal

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"keytrustee/internal/durable"
)

// What of a confdir this package reads or writes; the wraps lie in KEKDir, kek/<KEK>/<fingerprint of the root>.wrap.
const (
	RootFile      = "root.key"
	RecoveryFile  = "recovery.pub"
	AuthorityFile = "ca.pem"
	KEKDir        = "kek"
	wrapSuffix    = ".wrap"
)

// WrapPath is where the confdir keeps that wrap.
func WrapPath(confdir string, w Wrap) string {
	return filepath.Join(confdir, KEKDir, w.KEK, w.Recipient+wrapSuffix)
}

// RootPath is where the confdir keeps this host's root key.
func RootPath(confdir string) string { return filepath.Join(confdir, RootFile) }

// Create makes the cluster's first KEK and writes a wrap of it for each recipient into confdir. When it returns, the files
// are durable and Load succeeds, if one of the recipients is the root of confdir. It never replaces: with a KEK in confdir
// the error is fs.ErrExist. A Create that failed half way left no KEK that anything was sealed under.
func Create(confdir, cluster string, by Signer, to ...Public) error {
	if old, err := listWraps(confdir); err != nil {
		return err
	} else if len(old) > 0 {
		return fmt.Errorf("key-encryption key in %s: %w", confdir, fs.ErrExist)
	}
	k := newKEK(by.Now.UTC().Truncate(time.Second))
	var wraps []Wrap
	for _, p := range to {
		w, err := wrapKEK(k, cluster, p, by)
		if err != nil {
			return err
		}
		wraps = append(wraps, w)
	}
	// All or none: the KEK's directory gets its name when it is complete.
	staging := filepath.Join(confdir, "."+KEKDir+"."+k.id+".tmp")
	if err := durable.MkdirAll(staging, 0o700); err != nil {
		return err
	}
	defer os.RemoveAll(staging)
	if err := writeWraps(staging, wraps); err != nil {
		return err
	}
	if err := durable.MkdirAll(filepath.Join(confdir, KEKDir), 0o700); err != nil {
		return err
	}
	return durable.Rename(staging, filepath.Join(confdir, KEKDir, k.id))
}

// WriteWraps stores wraps in confdir, after it has verified all of them against the authority of confdir. When it returns
// nil they are durable. A wrap for the same KEK and recipient is replaced.
func WriteWraps(confdir string, wraps []Wrap) error {
	trust, err := loadAuthority(confdir)
	if err != nil {
		return err
	}
	for _, w := range wraps {
		if err := errors.Join(w.check(), w.verify(trust)); err != nil {
			return err
		}
	}
	for _, w := range wraps {
		dir := filepath.Join(confdir, KEKDir, w.KEK)
		if err := durable.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if err := writeWraps(dir, []Wrap{w}); err != nil {
			return err
		}
	}
	return nil
}

func writeWraps(dir string, wraps []Wrap) error {
	for _, w := range wraps {
		text, err := json.MarshalIndent(w, "", "  ")
		if err != nil {
			return err
		}
		if err := durable.WriteFile(filepath.Join(dir, w.Recipient+wrapSuffix), append(text, '\n'), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// ReadWraps returns all wraps of confdir, whoever they are for; none is no error. It does not verify them.
func ReadWraps(confdir string) ([]Wrap, error) {
	paths, err := listWraps(confdir)
	if err != nil {
		return nil, err
	}
	var wraps []Wrap
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("key-encryption key's wrap: %w", err)
		}
		w, err := parseWrap(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if WrapPath(confdir, w) != filepath.Clean(path) {
			return nil, fmt.Errorf("%s is the wrap of key-encryption key %s to root %s: it was moved", path, w.KEK, w.Recipient)
		}
		wraps = append(wraps, w)
	}
	return wraps, nil
}

// listWraps fails where it can not see: a directory that it may not read must not look like one without KEKs.
func listWraps(confdir string) ([]string, error) {
	top := filepath.Join(confdir, KEKDir)
	ids, err := os.ReadDir(top)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("key-encryption keys: %w", err)
	}
	var paths []string
	for _, id := range ids {
		files, err := os.ReadDir(filepath.Join(top, id.Name()))
		if err != nil {
			return nil, fmt.Errorf("key-encryption keys: %w", err)
		}
		for _, f := range files {
			if strings.HasSuffix(f.Name(), wrapSuffix) {
				paths = append(paths, filepath.Join(top, id.Name(), f.Name()))
			}
		}
	}
	return paths, nil
}

// WriteRecovery keeps the public half of the recovery root key in confdir, so that later KEKs are wrapped to it too.
func WriteRecovery(confdir string, p Public) error {
	text, err := p.MarshalText()
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(confdir, RecoveryFile), text, 0o644)
}

// ReadRecovery returns the recovery root key's public half. The error is fs.ErrNotExist when there is none yet.
func ReadRecovery(confdir string) (Public, error) {
	text, err := os.ReadFile(filepath.Join(confdir, RecoveryFile))
	if err != nil {
		return Public{}, fmt.Errorf("recovery key: %w", err)
	}
	var p Public
	if err := p.UnmarshalText(text); err != nil {
		return Public{}, fmt.Errorf("%s: %w", filepath.Join(confdir, RecoveryFile), err)
	}
	return p, nil
}

func loadAuthority(confdir string) (*x509.CertPool, error) {
	path := filepath.Join(confdir, AuthorityFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the cluster's authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("the cluster's authority: %s holds no certificate", path)
	}
	return pool, nil
}
