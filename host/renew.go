package host

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"keytrustee/certs"
	"keytrustee/internal/durable"
	"keytrustee/internal/seam"
	"keytrustee/kms/seal"
	"keytrustee/replication"
)

// RenewOptions say what of the authority RenewCertificates renews too; zero: nothing.
type RenewOptions struct {
	Authority bool   // a certificate of the authority that ends later, made here
	Adopt     []byte // the other host's ca.pem, which was renewed there
}

// RenewCertificates gives this host certificates that are good from now on, for the keys that it has: a peer knows it by its
// key, and goes on knowing it. What was good before is good as long at least, whatever the clock says now. A certificate for clients that is another authority's stays as it is. When it returns nil, the files
// are durable, and a PostgreSQL that runs has read them; a daemon does so at its next handshake, and no connection ends. It
// may be repeated. It fails with an expired authority, whose certificate comes first.
func (h *Host) RenewCertificates(ctx context.Context, o RenewOptions) error {
	return h.renewAt(ctx, o, seam.Now())
}

func (h *Host) renewAt(ctx context.Context, o RenewOptions, now time.Time) error {
	return h.whole(ctx, func() error {
		ring, err := seal.Load(h.Confdir)
		if err != nil {
			return err
		}
		return h.renew(ctx, ring, o, now)
	})
}

// whole runs do while no other operation of this host does, none is unended, and its files are its own.
func (h *Host) whole(ctx context.Context, do func() error) error {
	lock, err := h.lock(ctx)
	if err != nil {
		return err
	}
	defer lock.Close()
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
	if err := h.renewCluster(authority, now); err != nil {
		return err
	}
	if err := h.reached("renew: cluster"); err != nil {
		return err
	}
	if err := h.renewPublic(authority, now); err != nil {
		return err
	}
	return h.reloadDB(ctx)
}

// renewCluster renews the certificate that the peer sees, for the key that is there: the peer would know no other.
func (h *Host) renewCluster(authority *certs.Authority, now time.Time) error {
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
	old, err := os.ReadFile(files.Cert)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var takes *x509.Certificate // whose place the new one takes; what can not be read, or is for another key, is none
	if c, err := certs.ParseCertificate(old); err == nil && authority.Signed(c) && fits(key, c) {
		takes = c
	}
	certPEM, err := h.sign(authority, certs.Cluster, key, takes, now)
	if err != nil {
		return err
	}
	return durable.WriteFile(files.Cert, certPEM, 0o644)
}

// fits reports whether c is for that key.
func fits(key crypto.Signer, c *x509.Certificate) bool {
	public, ok := key.Public().(*ecdsa.PublicKey)
	return ok && public.Equal(c.PublicKey)
}

// renewPublic renews the certificate that clients see, if it is the authority's.
func (h *Host) renewPublic(authority *certs.Authority, now time.Time) error {
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
	if !fits(key, c) {
		return hinted("put the key back, or remove both files and run ktadmin init, which makes another key and certificate", "%s is not the key of %s", files.Key, files.Cert)
	}
	certPEM, err := h.sign(authority, certs.Public, key, c, now)
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

// RenewDue renews this host's certificates if one that can be renewed ends within 30 days, or is not good yet (it was made while
// the clock was wrong), and reports whether it did.
func (h *Host) RenewDue(ctx context.Context, now time.Time) (renewed bool, err error) {
	s, err := h.Status()
	if err != nil {
		return false, err
	}
	due, authority := false, Certificate{}
	for _, c := range s.Certificates {
		if c.Name() == "authority" {
			authority = c
		}
	}
	if now.Before(authority.Begins) || !now.Before(authority.Expires) {
		return false, nil // nothing that it signs is good now
	}
	for _, c := range s.Certificates {
		// What ends with the authority can not end later than it does.
		ends := c.Expires.Sub(now) < renewWithin && c.Expires.Before(authority.Expires)
		due = due || c.Name() != "authority" && !c.Foreign && (ends || now.Before(c.Begins))
	}
	if !due {
		return false, nil
	}
	return true, h.renewAt(ctx, RenewOptions{}, now)
}
