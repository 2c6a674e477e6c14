package host

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"keytrustee/certs"
	"keytrustee/kms/seal"
	"keytrustee/replication"
)

// Status is what a host can say of itself. Without a daemon it is what lies in its files.
type Status struct {
	Name         string              `json:"name"`
	Address      string              `json:"external_address"`
	Cluster      string              `json:"cluster_id"`
	Daemon       bool                `json:"daemon"`            // keytrusteed answers
	State        *replication.State  `json:"state,omitempty"`   // nil: of no pair yet
	Report       *replication.Report `json:"report,omitempty"`  // the daemon's
	Journal      *Journal            `json:"journal,omitempty"` // an operation that has not ended
	Recovery     Recovery            `json:"recovery_key"`
	Certificates []Certificate       `json:"certificates"`
}

// Recovery is how it stands with the recovery root key.
type Recovery struct {
	Made        bool       `json:"made"`
	Fingerprint string     `json:"fingerprint,omitempty"`
	Confirmed   *time.Time `json:"confirmed,omitempty"`   // when its custody was confirmed
	Backups     bool       `json:"authenticates_backups"` // this host has what is derived from it for backups
}

// String is missing, unconfirmed or confirmed.
func (r Recovery) String() string {
	switch {
	case !r.Made:
		return "missing"
	case r.Confirmed == nil:
		return "unconfirmed"
	}
	return "confirmed"
}

// Certificate is one of this host's.
type Certificate struct {
	File    string    `json:"file"`
	Begins  time.Time `json:"begins"`
	Expires time.Time `json:"expires"`
	Foreign bool      `json:"foreign,omitempty"` // another authority than the cluster's has signed it
}

// Trouble is what is wrong with a certificate that is not good yet, has ended or soon will, and what to do; empty while it is good for 30 days.
func (c Certificate) Trouble(now time.Time) (what, do string) {
	left := c.Expires.Sub(now)
	switch {
	case now.Before(c.Begins):
		return notYet(c.Name(), c.Begins, c.Foreign)
	case left >= renewWithin:
		return "", ""
	case left <= 0:
		what = fmt.Sprintf("the %s certificate EXPIRED at %s", c.Name(), stamp(c.Expires))
	default:
		what = fmt.Sprintf("the %s certificate expires at %s", c.Name(), stamp(c.Expires))
	}
	return what, renewal(c.Name(), c.Foreign) + " (" + certificatePage + ")"
}

// notYet is what is wrong with a certificate that begins in the future, and what to do.
func notYet(name string, begins time.Time, foreign bool) (what, do string) {
	what = fmt.Sprintf("the %s certificate is good only from %s on, so this host's clock is wrong, or was when it was made", name, stamp(begins))
	if name == "authority" { // its next one would begin then, too
		return what, "put the clock right (" + certificatePage + ")"
	}
	return what, "see that the clock is right; if it is, " + renewal(name, foreign) + " (" + certificatePage + ")"
}

const certificatePage = "docs/runbook/certificate-expired.md"

// renewal is what renews the certificate of that name.
func renewal(name string, foreign bool) string {
	switch {
	case foreign:
		return "ask whoever has signed it for another one, and put it in its place"
	case name == "authority":
		return "on one host: ktadmin certs renew --authority"
	}
	return "on this host: ktadmin certs renew"
}

// Status reads this host's files.
func (h *Host) Status() (Status, error) {
	s := Status{Name: h.Name, Address: h.ExternalAddress, Cluster: h.ClusterID}
	state, err := replication.OpenState(h.StateFile())
	if err == nil {
		current := state.Current()
		s.State = &current
	} else if !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	if s.Journal, err = h.Journal(); err != nil {
		return s, err
	}
	if s.Recovery, err = h.recovery(); err != nil {
		return s, err
	}
	var signed []*x509.Certificate
	for _, file := range []string{h.PublicFiles().Cert, h.ClusterFiles().Cert, h.AuthorityFile()} { // the authority is the last one
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return s, err
		}
		cert, err := certs.ParseCertificate(text)
		if err != nil {
			return s, err
		}
		s.Certificates = append(s.Certificates, Certificate{File: file, Begins: cert.NotBefore, Expires: cert.NotAfter})
		signed = append(signed, cert)
	}
	if len(signed) == 0 {
		return s, nil
	}
	if authority := signed[len(signed)-1]; authority.IsCA {
		for i, cert := range signed {
			s.Certificates[i].Foreign = cert.CheckSignatureFrom(authority) != nil
		}
	}
	return s, nil
}

func (h *Host) recovery() (Recovery, error) {
	public, err := seal.ReadRecovery(h.Confdir)
	if errors.Is(err, fs.ErrNotExist) {
		return Recovery{}, nil
	} else if err != nil {
		return Recovery{}, err
	}
	r := Recovery{Made: true, Fingerprint: public.Fingerprint()}
	if r.Backups, err = exists(sealedFile(h.Confdir, backupBox)); err != nil {
		return r, err
	}
	text, err := os.ReadFile(filepath.Join(h.Confdir, confirmationFile))
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	} else if err != nil {
		return r, err
	}
	c, err := parseConfirmation(text)
	if err == nil && c.Fingerprint == r.Fingerprint {
		r.Confirmed = &c.At
	}
	return r, err
}
