package host

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"keytrustee/certs"
	"keytrustee/internal/durable"
	"keytrustee/kms/seal"
	"keytrustee/replication"
)

// RenewOptions say what of the authority RenewCertificates renews too; zero: nothing.
type RenewOptions struct {
	Authority bool   // a certificate of the authority that ends later, made here
	Adopt     []byte // the other host's ca.pem, which was renewed there
}

// RenewCertificates gives this host certificates that begin now, for the keys that it has: a peer knows it by its key, and
// goes on knowing it. A certificate for clients that is another authority's stays as it is. When it returns nil, the files
// are durable, and a PostgreSQL that runs has read them; a daemon does so at its next handshake, and no connection ends. It
// may be repeated. It fails with an expired authority, whose certificate comes first.
func (h *Host) RenewCertificates(ctx context.Context, o RenewOptions) error {
	return h.whole(func() error {
		ring, err := seal.Load(h.Confdir)
		if err != nil {
			return err
		}
		return h.renew(ctx, ring, o, time.Now())
	})
}

// whole runs do while no other operation of this host does, none is unended, and its files are its own.
func (h *Host) whole(do func() error) error {
	unlock, err := h.lock()
	if err != nil {
		return err
	}
	defer unlock()
	j, err := h.Journal()
	if err != nil {
		return err
	}
	if what, then, unended := j.Unended(); unended {
		return hinted(then, "%s", what)
	}
	if err := h.checkOwn(); err != nil {
		return err
	}
	return do()
}

// renew is RenewCertificates with what the KEKs are opened with.
func (h *Host) renew(ctx context.Context, ring *seal.Keyring, o RenewOptions, now time.Time) error {
	authority, err := h.authority(ring)
	if err != nil {
		return err
	}
	was := authority.CertPEM()
	switch {
	case o.Adopt != nil:
		if authority, err = authority.Adopt(o.Adopt); err != nil {
			return hinted("take ca.pem of the confdir of the other host, where ktadmin certs renew --authority was run", "the authority that was given is not taken: %w", err)
		}
	case o.Authority:
		if authority, err = authority.Renew(now); err != nil {
			return err
		}
	}
	if !now.Before(authority.Expires()) {
		return hinted("renew it first: ktadmin certs renew --authority on one host, and on the other one ktadmin certs renew --authority-from FILE, with ca.pem of the first",
			"the cluster's authority expired at %s, so that nothing it signs is valid", stamp(authority.Expires()))
	}
	if !bytes.Equal(was, authority.CertPEM()) {
		if err := durable.WriteFile(h.AuthorityFile(), authority.CertPEM(), 0o644); err != nil {
			return err
		}
	}
	if err := h.reached("renew: authority"); err != nil {
		return err
	}
	if err := h.renewCluster(authority); err != nil {
		return err
	}
	if err := h.reached("renew: cluster"); err != nil {
		return err
	}
	if err := h.renewPublic(authority); err != nil {
		return err
	}
	return h.reloadDB(ctx)
}

// renewCluster renews the certificate that the peer sees, for the key that is there: the peer would know no other.
func (h *Host) renewCluster(authority *certs.Authority) error {
	files := h.ClusterFiles()
	keyPEM, err := os.ReadFile(files.Key)
	if errors.Is(err, fs.ErrNotExist) {
		return h.completeCluster(authority)
	} else if err != nil {
		return err
	}
	key, err := certs.ParseKey(keyPEM)
	if err != nil {
		return hinted("put this host's own back", "%s: %w", files.Key, err)
	}
	certPEM, err := h.sign(authority, certs.Cluster, key)
	if err != nil {
		return err
	}
	return durable.WriteFile(files.Cert, certPEM, 0o644)
}

// renewPublic renews the certificate that clients see, if it is the authority's.
func (h *Host) renewPublic(authority *certs.Authority) error {
	files := h.PublicFiles()
	text, err := os.ReadFile(files.Cert)
	if errors.Is(err, fs.ErrNotExist) {
		if err := durable.WriteFile(files.CA, authority.CertPEM(), 0o644); err != nil {
			return err
		}
		return h.issue(authority, certs.Public, files)
	} else if err != nil {
		return err
	}
	c, err := certs.ParseCertificate(text)
	if err != nil {
		return fmt.Errorf("%s: %w", files.Cert, err)
	}
	if !authority.Signed(c) {
		return nil
	}
	keyPEM, err := os.ReadFile(files.Key)
	if err != nil {
		return err
	}
	key, err := certs.ParseKey(keyPEM)
	if err != nil {
		return hinted("put the key back, or remove both files and run ktadmin init, which makes another key and certificate", "%s: %w", files.Key, err)
	}
	if public, ok := key.Public().(*ecdsa.PublicKey); !ok || !public.Equal(c.PublicKey) {
		return hinted("put the key back, or remove both files and run ktadmin init, which makes another key and certificate", "%s is not the key of %s", files.Key, files.Cert)
	}
	certPEM, err := h.sign(authority, certs.Public, key)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(files.CA, authority.CertPEM(), 0o644); err != nil {
		return err
	}
	return durable.WriteFile(files.Cert, certPEM, 0o644)
}

// reloadDB lets a PostgreSQL that runs read its certificates again. One that does not run will read them when it starts.
func (h *Host) reloadDB(ctx context.Context) error {
	if _, err := replication.OpenState(h.StateFile()); errors.Is(err, fs.ErrNotExist) {
		return nil // there is none yet
	} else if err != nil {
		return err
	}
	server, err := h.Server(ctx)
	if err != nil {
		return err
	}
	if _, runs := server.Pid(); !runs {
		return nil
	}
	if err := server.Reload(ctx); err != nil {
		return hinted("the certificates are renewed; the database shows its old one until it is told: ktadmin certs renew once more, or service keytrustee-db restart", "%w", err)
	}
	return nil
}

// renewWithin is how long before its end a daemon renews a certificate of its host.
const renewWithin = 30 * 24 * time.Hour

// RenewDue renews this host's certificates if one that can be renewed ends within 30 days, and reports whether it did.
func (h *Host) RenewDue(ctx context.Context, now time.Time) (renewed bool, err error) {
	s, err := h.Status()
	if err != nil {
		return false, err
	}
	due, authority := false, time.Time{}
	for _, c := range s.Certificates {
		if c.Name() == "authority" {
			authority = c.Expires
		}
	}
	for _, c := range s.Certificates {
		// What ends with the authority can not end later than it does.
		due = due || c.Name() != "authority" && !c.Foreign && c.Expires.Sub(now) < renewWithin && c.Expires.Before(authority) && now.Before(authority)
	}
	if !due {
		return false, nil
	}
	return true, h.RenewCertificates(ctx, RenewOptions{})
}
