package host

import (
	"cmp"
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"keytrustee/certs"
	"keytrustee/internal/durable"
	"keytrustee/kms/seal"
	"keytrustee/replication"
)

// create asks the other host for admission. If it is refused, nothing has been begun.
func (j *join) create(ctx context.Context, journal *Journal) error {
	j.stage(creating)
	if err := j.makeDirectories(); err != nil {
		return err
	}
	if err := durable.MkdirAll(filepath.Dir(j.ClusterFiles().Cert), 0o700); err != nil {
		return err
	}
	asking, err := j.giveUp(ctx, *journal)
	if err != nil {
		return err
	}
	q, err := j.request(asking.Given)
	if err != nil {
		return err
	}
	client, err := j.client()
	if err != nil {
		return err
	}
	defer client.close()
	if j.o.Token != nil {
		q.Secret = j.o.Token.Secret()
	} else if j.o.Kind != Reclone {
		if err := j.prove(ctx, client, q); err != nil {
			return err
		}
	}
	before := *journal
	*journal = asking
	journal.Incarnation, journal.Address = j.incarnation, client.address
	if err := j.saveJournal(journal); err != nil {
		return err
	}
	j.answer = new(joinAnswer)
	err = client.call(ctx, admitPath, q, j.answer)
	if err == nil {
		err = j.checkAnswer()
	}
	if _, refused := errors.AsType[*HintedError](err); refused && !mayBeAdmitted(err) {
		*journal = before
		return errors.Join(err, j.saveJournal(journal))
	}
	return err
}

// mayBeAdmitted reports whether the question may have reached the other host although no answer came.
func mayBeAdmitted(err error) bool {
	dial, ok := errors.AsType[*net.OpError](err)
	return errors.Is(err, ErrUnreachable) && !(ok && dial.Op == "dial")
}

// checkAnswer refuses a host that is behind this one: what this host has is newer.
func (j *join) checkAnswer() error {
	a, s := j.answer.Admission, j.had
	if s == nil || s.Incarnation == j.begun || a.Epoch.Number > s.Epoch.Number || a.Epoch.Number == s.Epoch.Number && neverIn(*s) {
		return nil
	}
	return hinted("find out which of the two is current: ktadmin status on both; nothing was moved",
		"%s is of epoch %s, and this host was of %s already", j.answer.Active.Name, a.Epoch, s.Epoch)
}

// neverIn reports whether s is what a join has left that was given up at the other host before this one was taken in.
func neverIn(s replication.State) bool {
	o := s.Operation
	return s.Duty == replication.Passive && s.LastConfirmed == 0 || s.Duty == replication.Active && o != nil && o.Kind == replication.KindRestore
}

// request is what this host says of itself, with the keys that it wants certified.
func (j *join) request(had *given) (*joinRequest, error) {
	root, err := seal.LoadRoot(seal.RootPath(j.Confdir))
	if errors.Is(err, fs.ErrNotExist) {
		root, err = seal.NewRoot(seal.RootPath(j.Confdir))
	}
	if err != nil {
		return nil, err
	}
	public, err := root.Public().MarshalText()
	if err != nil {
		return nil, err
	}
	hostname, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	q := &joinRequest{Kind: j.o.Kind, Name: j.o.Name, Address: j.o.Address, Hostname: hostname,
		Port: j.o.Port, ClusterPort: j.o.ClusterPort, DBPort: j.o.DBPort,
		Root: string(public), Incarnation: j.incarnation, PostgreSQL: j.inst.Version.Major}
	if had != nil {
		q.Confirmed, q.Had = had.Confirmed, had.Log
	}
	if ip := net.ParseIP(j.ListenAddress); ip != nil && !ip.IsUnspecified() {
		q.Hosts = []string{j.ListenAddress}
	}
	if j.o.Kind == Reclone && j.o.Token == nil { // it goes on under the key by which the active knows it
		q.ClusterCSR, j.clusterKey, err = j.ownRequest(hostname)
	} else {
		q.ClusterCSR, j.clusterKey, err = newRequest(hostname)
	}
	if err != nil {
		return nil, err
	}
	q.PublicCSR, j.publicKey, err = newRequest(hostname)
	return q, err
}

func newRequest(name string) (csr, keyPEM []byte, err error) {
	key, keyPEM, err := certs.NewKey()
	if err != nil {
		return nil, nil, err
	}
	csr, err = certs.NewCSR(key, name)
	return csr, keyPEM, err
}

// ownRequest is newRequest for the key of this host's cluster certificate.
func (j *join) ownRequest(name string) (csr, keyPEM []byte, err error) {
	f := j.ClusterFiles()
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, nil, fmt.Errorf("loading this host's cluster certificate: %w", err)
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, nil, fmt.Errorf("loading this host's cluster certificate: %s holds no signing key", f.Key)
	}
	if csr, err = certs.NewCSR(key, name); err != nil {
		return nil, nil, err
	}
	keyPEM, err = os.ReadFile(f.Key)
	return csr, keyPEM, err
}

// prove shows that the copied root key opens the cluster's KEKs.
func (j *join) prove(ctx context.Context, client *joinClient, q *joinRequest) error {
	ring, err := seal.Load(j.Confdir)
	if err != nil {
		return err
	}
	var c challenge
	if err := client.call(ctx, challengePath, struct{}{}, &c); err != nil {
		return err
	}
	q.Nonce = c.Nonce
	q.Proof, err = ring.ProveRoot(ctx, proofChallenge(c.Nonce, q.ClusterCSR))
	return err
}

// client reaches the other host's cluster listener, and believes the token's authority or the one of this host.
func (j *join) client() (*joinClient, error) {
	if t := j.o.Token; t != nil {
		address := t.Address
		if j.o.Active != "" {
			_, port, err := net.SplitHostPort(t.Address)
			if err != nil {
				return nil, fmt.Errorf("the join token's address: %w", err)
			}
			address = net.JoinHostPort(j.o.Active, port)
		}
		return newJoinClient(address, t.Authority), nil
	}
	authority, err := j.authorityCertificate()
	if err != nil {
		return nil, err
	}
	if j.o.Kind == Reclone {
		known := activePeer(j.Host.Peer, *j.had.Peer)
		known.Address = cmp.Or(j.o.Active, known.Address)
		client := newJoinClient(known.ClusterAddress(), certs.FingerprintOf(authority))
		return client, client.show(j.ClusterFiles())
	}
	return newJoinClient(net.JoinHostPort(j.o.Active, strconv.Itoa(j.Host.ClusterPort)), certs.FingerprintOf(authority)), nil
}

// activePeer is the active, at the address that this host's configuration gives it, if it gives one.
func activePeer(configured Peer, told replication.Peer) replication.Peer {
	told.Address = cmp.Or(configured.Address, told.Address)
	told.Source = cmp.Or(configured.Source, told.Source)
	return told
}
