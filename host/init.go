package host

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"keytrustee/certs"
	"keytrustee/internal/durable"
	"keytrustee/kms/seal"
)

const initOperation = "init"

// InitOptions are what an operator decides at init.
type InitOptions struct {
	Recovery  *seal.Public    // public half of the recovery root key; nil postpones it
	BackupKey *seal.BackupKey // derived from its private half, where that was seen; the backups are authenticated with it
}

// Init completes what a host lacks and replaces nothing. On a fresh host it founds a cluster: authority, root key, first
// KEK wrapped to this root (and to the recovery key), secrets, keytrustee.yaml. On a host whose confdir was copied from
// the other one, or which has joined, it makes only this host's certificates and node.yaml. A recovery key that was
// postponed is completed when one is given. When it returns nil, all of it is durable.
func (h *Host) Init(ctx context.Context, o InitOptions) error {
	return h.operate(ctx, initOperation,
		step{"directories", func(context.Context, *Journal) error { return h.makeDirectories() }},
		step{"cluster", func(context.Context, *Journal) error { return h.foundCluster(o) }},
		step{"recovery key", func(context.Context, *Journal) error { return h.completeRecovery(o) }},
		step{"certificates", func(context.Context, *Journal) error { return h.completeCertificates() }},
		step{"settings", func(context.Context, *Journal) error { return h.completeSettings() }},
	)
}

// completeSettings writes keytrustee.yaml if it was lost, and node.yaml.
func (h *Host) completeSettings() error {
	shared := filepath.Join(h.Confdir, settingsFile)
	if have, err := exists(shared); err != nil {
		return err
	} else if !have {
		if err := durable.WriteFile(shared, h.Settings.Shared(), 0o644); err != nil {
			return err
		}
	}
	return h.Settings.SaveNode()
}

func (h *Host) makeDirectories() error {
	for _, dir := range []string{h.Home(), h.NodeDir(), h.PGConf(), h.LogDir} {
		if err := durable.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	return nil
}

// What a confdir must hold to belong to a cluster.
var essentials = []string{seal.AuthorityFile, seal.RootFile, seal.KEKDir, sealedFile("", authorityBox), sealedFile("", cookieBox), settingsFile}

// Initialized reports whether the confdir holds a cluster's files. One that holds some of them and lacks others is an
// error that names them.
func (h *Host) Initialized() (bool, error) {
	if half, err := exists(h.made()); err != nil || half {
		return false, err // Init completes it
	}
	var missing []string
	for _, name := range essentials {
		if _, err := os.Lstat(filepath.Join(h.Confdir, name)); errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, name)
		} else if err != nil {
			return false, err
		}
	}
	switch {
	case len(missing) == 0:
		return true, nil
	case len(missing) == len(essentials):
		return false, nil
	case len(missing) == 1 && missing[0] == settingsFile:
		return true, nil // an operator may lose it; it holds no secret
	case len(missing) == 1 && missing[0] == seal.RootFile:
		return false, hinted(RootKeyRemedy, "%s is incomplete: it has no %s", h.Confdir, seal.RootFile)
	}
	return false, hinted("copy "+h.Confdir+" from the other host again, or restore it; nothing was changed",
		"%s is incomplete: it has no %s", h.Confdir, strings.Join(missing, ", "))
}

// made is where a new cluster's files lie until they are in the confdir.
func (h *Host) made() string { return h.Confdir + ".made" }

// Founding is the id of the cluster that an Init which broke off was founding here; empty if there is none.
func (h *Host) Founding() (string, error) {
	if half, err := exists(h.made()); err != nil || !half {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(h.made(), foundingFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil // all of it is in the confdir, and made is being removed
	}
	return strings.TrimSpace(string(text)), err
}

// foundingFile says which cluster is being made. It is not published.
const foundingFile = "founding"

// foundCluster makes a new cluster's files, unless the confdir has them. They are made in a directory beside the confdir,
// which gets the name "made" when it is whole: a crash before that leaves nothing of the cluster, one after it is
// completed here.
func (h *Host) foundCluster(o InitOptions) error {
	making, made := h.Confdir+".making", h.made()
	if half, err := exists(made); err != nil {
		return err
	} else if half {
		return h.publish(made)
	}
	if done, err := h.Initialized(); done || err != nil {
		return err
	}
	if err := os.RemoveAll(making); err != nil {
		return err
	}
	if err := h.makeCluster(making, o); err != nil {
		return fmt.Errorf("founding the cluster: %w", err)
	}
	if err := h.reached("init: cluster made"); err != nil {
		return err
	}
	if err := durable.Rename(making, made); err != nil {
		return err
	}
	return h.publish(made)
}

func (h *Host) makeCluster(dir string, o InitOptions) error {
	at := *h
	at.Confdir = dir
	for _, d := range []string{dir, filepath.Join(dir, ".ssl"), filepath.Join(dir, "sealed")} {
		if err := durable.MkdirAll(d, 0o700); err != nil {
			return err
		}
	}
	now := time.Now()
	authority, err := certs.NewAuthority(h.ClusterID, now)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(at.AuthorityFile(), authority.CertPEM(), 0o644); err != nil {
		return err
	}
	if err := at.issue(authority, certs.Cluster, at.ClusterFiles()); err != nil {
		return err
	}
	root, err := seal.NewRoot(seal.RootPath(dir))
	if err != nil {
		return err
	}
	recipients := []seal.Public{root.Public()}
	if o.Recovery != nil {
		recipients = append(recipients, *o.Recovery)
		if err := seal.WriteRecovery(dir, *o.Recovery); err != nil {
			return err
		}
	}
	signer, err := at.signer(now)
	if err != nil {
		return err
	}
	if err := seal.Create(dir, h.ClusterID, signer, recipients...); err != nil {
		return err
	}
	ring, err := seal.Load(dir)
	if err != nil {
		return err
	}
	key, err := authority.Key()
	if err != nil {
		return err
	}
	cookie := make([]byte, 32)
	rand.Read(cookie)
	for name, secret := range map[string][]byte{authorityBox: key, cookieBox: cookie} {
		box, err := ring.SealBox(name, secret)
		if err != nil {
			return err
		}
		if err := durable.WriteFile(sealedFile(dir, name), box, 0o600); err != nil {
			return err
		}
	}
	if o.BackupKey != nil {
		if err := at.keepBackupKey(ring, o.BackupKey); err != nil {
			return err
		}
	}
	if err := durable.WriteFile(filepath.Join(dir, foundingFile), []byte(h.ClusterID+"\n"), 0o644); err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(dir, settingsFile), h.Settings.Shared(), 0o644)
}

// publish moves every file of made into the confdir, where none of that name may be, and removes made.
func (h *Host) publish(made string) error {
	err := filepath.WalkDir(made, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(made, path)
		if err != nil {
			return err
		}
		if rel == foundingFile {
			return nil
		}
		target := filepath.Join(h.Confdir, rel)
		if d.IsDir() {
			return durable.MkdirAll(target, 0o700)
		}
		if _, err := os.Lstat(target); err == nil {
			return hinted("move it aside and repeat the command", "%s exists and would be replaced", target)
		}
		if err := durable.Rename(path, target); err != nil {
			return err
		}
		return h.reached("init: published " + rel)
	})
	if err != nil {
		return err
	}
	return os.RemoveAll(made)
}

// completeRecovery wraps the KEK to the recovery key, where there is none yet and one is given, and keeps what the backups are
// authenticated with.
func (h *Host) completeRecovery(o InitOptions) error {
	recovery := o.Recovery
	if recovery == nil {
		return nil
	}
	if has, err := seal.ReadRecovery(h.Confdir); err == nil {
		if has.Fingerprint() != recovery.Fingerprint() {
			return hinted("leave out --recovery-key-out: the key of this cluster stays as it is",
				"this cluster has another recovery key already, %s", has.Fingerprint())
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	ring, err := seal.Load(h.Confdir)
	if err != nil {
		return err
	}
	signer, err := h.signer(time.Now())
	if err != nil {
		return err
	}
	wraps, err := ring.WrapFor(*recovery, signer)
	if err != nil {
		return err
	}
	if err := seal.WriteWraps(h.Confdir, wraps); err != nil {
		return err
	}
	if o.BackupKey != nil {
		if err := h.keepBackupKey(ring, o.BackupKey); err != nil {
			return err
		}
	}
	return seal.WriteRecovery(h.Confdir, *recovery)
}
