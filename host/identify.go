package host

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"

	"keytrustee/certs"
	"keytrustee/kms/seal"
	"keytrustee/replication"
)

// identify settles the joiner's name and address: the joiner's operator has the first word, the one of this host the second
// (db --bootstrap --slave), then the host itself. A host that comes back is who it was, where it does not say otherwise.
func (a *Admitter) identify(q joinRequest, from string, state replication.State) (replication.Peer, error) {
	h := a.host
	was := replication.Peer{Name: h.Peer.Name, Address: h.Peer.Address, Source: h.Peer.Source, ClusterPort: h.ClusterPort, DatabasePort: h.DBPort}
	if back := state.Peer; back != nil && q.Kind != NewPassive {
		was.Name, was.Address, was.ClusterPort, was.DatabasePort = back.Name, back.Address, back.ClusterPort, back.DatabasePort
	}
	address := cmp.Or(q.Address, was.Address, q.Hostname, from)
	name := cmp.Or(q.Name, was.Name, NodeName(address))
	switch {
	case !nodeNames.MatchString(name):
		return replication.Peer{}, hinted("give the joining host a name with --name", "%s is no name for a node", address)
	case name == h.Name:
		return replication.Peer{}, hinted("give the joining host another one with --name", "a node named %s exists: it is the %s", name, state.Duty)
	case q.itself() && name != was.Name:
		return replication.Peer{}, hinted("a host with another name joins with a token", "the passive of %s is %s, not %s", h.Name, was.Name, name)
	case slices.ContainsFunc(append(q.Hosts, address), func(s string) bool { return sameHost(s, h.ExternalAddress) }):
		return replication.Peer{}, hinted("give the joining host's own with --external-address", "%s is the address of the %s", h.ExternalAddress, state.Duty)
	case q.PostgreSQL != a.server.Version.Major:
		return replication.Peer{}, hinted(fmt.Sprintf("install PostgreSQL %d on the joining host", a.server.Version.Major),
			"%s has PostgreSQL %d, the joining host has %d", h.Name, a.server.Version.Major, q.PostgreSQL)
	}
	p := replication.Peer{Name: name, Address: address, Incarnation: q.Incarnation, Source: was.Source,
		ClusterPort: cmp.Or(q.ClusterPort, was.ClusterPort), DatabasePort: cmp.Or(q.DBPort, was.DatabasePort)}
	if p.Source == "" && net.ParseIP(address) == nil {
		p.Source = from // access rules by address need no name service
	}
	p.URL = publicURL(address, cmp.Or(q.Port, h.Port))
	if q.Port == 0 && q.Kind != NewPassive && state.Peer != nil && address == state.Peer.Address {
		p.URL = state.Peer.URL
	}
	return p, nil
}

// certify signs the joiner's certificates and wraps the KEKs to its root key.
func (a *Admitter) certify(answer *joinAnswer, q joinRequest, root seal.Public) error {
	authority, err := a.host.authority(a.ring)
	if err != nil {
		return err
	}
	hosts := append([]string{answer.Address}, q.Hosts...)
	sign := func(csrPEM []byte, purpose certs.Purpose, name string) ([]byte, error) {
		csr, err := certs.ParseCSR(csrPEM)
		if err != nil {
			return nil, hinted("", "the request to join holds no certificate request: %w", err)
		}
		return authority.Sign(csr, purpose, name, hosts, a.now())
	}
	if answer.ClusterCertificate, err = sign(q.ClusterCSR, certs.Cluster, answer.Name); err != nil {
		return err
	}
	if answer.PublicCertificate, err = sign(q.PublicCSR, certs.Public, answer.Address); err != nil {
		return err
	}
	signer, err := a.host.signer(a.now())
	if err != nil {
		return err
	}
	own, err := a.ring.WrapFor(root, signer)
	if err != nil {
		return err
	}
	recovery, err := a.host.recoveryWraps()
	answer.Wraps = append(own, recovery...)
	return err
}

// recoveryWraps are the wraps of the confdir for the recovery key: a host that joins keeps them too, so that the recovery key opens
// what that host, or a backup of it, has.
func (h *Host) recoveryWraps() ([]seal.Wrap, error) {
	recovery, err := seal.ReadRecovery(h.Confdir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	wraps, err := seal.ReadWraps(h.Confdir)
	return slices.DeleteFunc(wraps, func(w seal.Wrap) bool { return w.Recipient != recovery.Fingerprint() }), err
}

// self is how the joiner reaches this host.
func (a *Admitter) self(s replication.State) replication.Peer {
	h := a.host
	return replication.Peer{Name: h.Name, Address: h.ExternalAddress, ClusterPort: h.ClusterPort, DatabasePort: h.DBPort,
		URL: h.URL(), Incarnation: s.Incarnation}
}
