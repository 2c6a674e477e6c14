package host

import (
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"keytrustee/certs"
	"keytrustee/internal/durable"
	"keytrustee/internal/seam"
	"keytrustee/kms/seal"
	"keytrustee/replication"
)

// signer is this host as a maker of wraps.
func (h *Host) signer(now time.Time) (seal.Signer, error) {
	f := h.ClusterFiles()
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return seal.Signer{}, fmt.Errorf("loading this host's cluster certificate: %w", err)
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return seal.Signer{}, fmt.Errorf("loading this host's cluster certificate: %s holds no signing key", f.Key)
	}
	return seal.Signer{Certificate: pair.Leaf, Key: key, Now: now}, nil
}

// authority opens the cluster's authority with this host's root key.
func (h *Host) authority(ring *seal.Keyring) (*certs.Authority, error) {
	key, err := h.secret(ring, authorityBox)
	if err != nil {
		return nil, err
	}
	certPEM, err := os.ReadFile(h.AuthorityFile())
	if err != nil {
		return nil, fmt.Errorf("the cluster's authority: %w", err)
	}
	return certs.OpenAuthority(certPEM, key)
}

func (h *Host) authorityCertificate() (*x509.Certificate, error) {
	certPEM, err := os.ReadFile(h.AuthorityFile())
	if err != nil {
		return nil, fmt.Errorf("the cluster's authority: %w", err)
	}
	return certs.ParseCertificate(certPEM)
}

// CookieSecret is what both hosts sign authentication cookies with.
func (h *Host) CookieSecret(ring *seal.Keyring) ([]byte, error) { return h.secret(ring, cookieBox) }

func (h *Host) secret(ring *seal.Keyring, name string) ([]byte, error) {
	box, err := os.ReadFile(sealedFile(h.Confdir, name))
	if err != nil {
		return nil, fmt.Errorf("the cluster's %s secret: %w", name, err)
	}
	return ring.OpenBox(name, box)
}

// completeCertificates makes what this host lacks of its own certificates, and checks those that it has.
func (h *Host) completeCertificates() error {
	if err := h.checkOwn(); err != nil {
		return err
	}
	public := h.PublicFiles()
	haveCluster, err := exists(h.ClusterFiles().Cert)
	if err != nil {
		return err
	}
	havePublic, err := exists(public.Cert)
	if err != nil {
		return err
	}
	if !haveCluster || !havePublic {
		ring, err := seal.Load(h.Confdir)
		if err != nil {
			return err
		}
		authority, err := h.authority(ring)
		if err != nil {
			return err
		}
		if err := durable.MkdirAll(filepath.Dir(public.Cert), 0o700); err != nil {
			return err
		}
		if !haveCluster {
			if err := h.completeCluster(authority); err != nil {
				return err
			}
		}
		if !havePublic {
			if err := durable.WriteFile(public.CA, authority.CertPEM(), 0o644); err != nil {
				return err
			}
			if err := h.issue(authority, certs.Public, public); err != nil {
				return err
			}
		}
	}
	return h.bind()
}

// completeCluster makes the certificate that the peer sees. The other host of a pair knows this one by its key, so the
// certificate is for the key that is there; where that is gone too, a new one is made only if nobody knows the old one.
func (h *Host) completeCluster(authority *certs.Authority) error {
	files := h.ClusterFiles()
	state, err := replication.OpenState(h.StateFile())
	if errors.Is(err, fs.ErrNotExist) {
		return h.issue(authority, certs.Cluster, files)
	} else if err != nil {
		return err
	}
	s := state.Current()
	if s.Self != h.Name {
		return hinted("give the name that it has with --name", "this host is %q in its pair, not %q", s.Self, h.Name)
	}
	keyPEM, err := os.ReadFile(files.Key)
	switch gone := errors.Is(err, fs.ErrNotExist); {
	case gone && s.Peer == nil && s.Pending == nil:
		return h.issue(authority, certs.Cluster, files)
	case gone:
		return hinted("put this host's own back; a new one would be a stranger to the other host. If it is gone for good: "+comeBack(s.Duty)+", with a token of ktadmin join-token on the other host (--replace on an active)",
			"%s, by which the other host knows this one, is gone", files.Key)
	case err != nil:
		return err
	}
	key, err := certs.ParseKey(keyPEM)
	if err != nil {
		return hinted("put this host's own back", "%s: %w", files.Key, err)
	}
	certPEM, err := h.sign(authority, certs.Cluster, key, nil, seam.Now())
	if err != nil {
		return err
	}
	return durable.WriteFile(files.Cert, certPEM, 0o644)
}

// issue makes a key and has the authority sign its certificate for this host. The key is written first: a crash between
// the two leaves no certificate, and the next issue replaces the key.
func (h *Host) issue(authority *certs.Authority, purpose certs.Purpose, files certs.Files) error {
	key, keyPEM, err := certs.NewKey()
	if err != nil {
		return err
	}
	certPEM, err := h.sign(authority, purpose, key, nil, seam.Now())
	if err != nil {
		return err
	}
	if err := durable.WriteFile(files.Key, keyPEM, 0o600); err != nil {
		return err
	}
	return durable.WriteFile(files.Cert, certPEM, 0o644)
}

// sign returns the authority's certificate of this host for that key. It takes the place of old, if that is not nil.
func (h *Host) sign(authority *certs.Authority, purpose certs.Purpose, key crypto.Signer, old *x509.Certificate, now time.Time) (certPEM []byte, err error) {
	name := h.Name
	if purpose == certs.Public {
		name = h.ExternalAddress
	}
	csrPEM, err := certs.NewCSR(key, name)
	if err != nil {
		return nil, err
	}
	csr, err := certs.ParseCSR(csrPEM)
	if err != nil {
		return nil, err
	}
	return authority.Extend(old, csr, purpose, name, h.hosts(), now)
}

// hosts are the names that this host's certificates are good for.
func (h *Host) hosts() []string {
	hosts := []string{h.ExternalAddress}
	if ip := net.ParseIP(h.ListenAddress); ip != nil && !ip.IsUnspecified() && !slices.Contains(hosts, h.ListenAddress) {
		hosts = append(hosts, h.ListenAddress)
	}
	return hosts
}

// CheckOwn refuses files that are another host's: certificates and node directory are bound to the machine and the place
// in it, and certificates must name this node and this address. What a host of a pair has must be bound: who takes the
// binding away says with ktadmin init that the data is this host's own, and a service that is started again meanwhile
// starts nothing. Other files that do not exist yet are no fault.
func (h *Host) CheckOwn() error {
	ofPair, err := exists(h.StateFile())
	if err != nil {
		return err
	}
	for _, path := range h.bindingFiles() {
		if have, err := exists(path); err != nil {
			return err
		} else if ofPair && !have {
			return hinted("if the data is this host's own, and nothing with this data runs elsewhere, run ktadmin init and start the services",
				"%s is missing: nothing says that the data was made on this machine", path)
		}
	}
	return h.checkOwn()
}

// checkOwn is CheckOwn of a host that ktadmin init completes: what is missing is no fault.
func (h *Host) checkOwn() error {
	binding := h.binding()
	for _, path := range h.bindingFiles() {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		if strings.TrimSpace(string(text)) != binding {
			return hinted("if this is the same host, installed anew or moved, and nothing with this data runs elsewhere: rm "+strings.Join(h.bindingFiles(), " ")+
				", then run ktadmin init and start the services. If .ssl was copied from the other host: remove "+h.ssl("")+" and run ktadmin init; copy .keytrustee with rsync --exclude .ssl. "+
				"Never remove "+h.NodeDir()+": it holds state.json",
				"%s was made on another machine (or /etc/machine-id is another one since), or in another place", filepath.Dir(path))
		}
	}
	for _, c := range []struct{ file, name, address string }{
		{h.ClusterFiles().Cert, h.Name, ""},
		{h.PublicFiles().Cert, "", h.ExternalAddress},
	} {
		text, err := os.ReadFile(c.file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		cert, err := certs.ParseCertificate(text)
		if err != nil {
			return fmt.Errorf("%s: %w", c.file, err)
		}
		if c.name != "" && cert.Subject.CommonName != c.name {
			return hinted("give the name that it has with --name; on a host that is of no pair yet it can be removed, and ktadmin init makes another",
				"%s is the certificate of node %q, and this one is %q", c.file, cert.Subject.CommonName, c.name)
		}
		if c.address != "" && cert.VerifyHostname(c.address) != nil {
			return hinted("remove it and run ktadmin init again", "%s is not good for %s", c.file, c.address)
		}
	}
	return nil
}

// bind writes down whose files these are, whatever stood there: they have been checked, or made here.
func (h *Host) bind() error {
	text := h.binding() + "\n"
	for _, path := range h.bindingFiles() {
		have, err := os.ReadFile(path)
		if err == nil && string(have) == text {
			continue
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := durable.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (h *Host) bindingFiles() []string {
	return []string{h.ssl("machine"), filepath.Join(h.NodeDir(), "machine")}
}

// binding names this machine and the place of the host's files in it. Two hosts on one machine differ by the place.
func (h *Host) binding() string {
	id, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		id = nil // a container may have none: then the place alone has to do
	}
	sum := sha256.Sum256([]byte("keytrustee host\x00" + strings.TrimSpace(string(id)) + "\x00" + h.Confdir))
	return hex.EncodeToString(sum[:16])
}

func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
