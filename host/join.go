package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"keytrustee/certs"
	"keytrustee/internal/durable"
	"keytrustee/kms/seal"
	"keytrustee/postgres"
	"keytrustee/replication"
)

const joinOperation = "join"

// JoinOptions say how a host joins. Token nil is the original's way: the confdir was copied from the active, and its root
// key is the proof.
type JoinOptions struct {
	Token  *certs.Token
	Active string // the active's address; empty: the token's
	// Name and Address of this host; empty: the active settles them.
	Name, Address string
	// Ports of this host where they are given; 0: as the active's.
	Port, ClusterPort, DBPort int
	// Configure saves node.yaml with what was learned, and returns the Host as it is configured from now on.
	Configure func(Learned) (*Host, error)
	Progress  Progress
}

// Learned is what a joiner did not know before.
type Learned struct {
	Name, Address string // its own
	Active        Peer
}

// join is one attempt.
type join struct {
	*Host
	o      JoinOptions
	inst   postgres.Installation
	server *postgres.Server

	incarnation           string
	clusterKey, publicKey []byte // PEM
	answer                *joinAnswer
}

// Join makes this host the passive: admitted by the active, given its certificates and wraps and the cluster's files, with
// a copy of the active's database in PGRoot, which must be empty or absent, verified file by file and never started. When
// it returns nil, this host can be started. After an error the confdir may hold the cluster's files, and a damaged copy
// lies beside PGRoot under a name that the error tells; repeating the command is safe.
func (h *Host) Join(ctx context.Context, o JoinOptions) error {
	j := &join{Host: h, o: o, incarnation: replication.NewIncarnation()}
	if err := j.check(ctx); err != nil {
		return err
	}
	return h.operate(ctx, joinOperation,
		step{"creating", j.create},
		step{"bootstrapping", j.bootstrap},
		step{"initial sync", j.copy},
		step{"verifying", j.verify},
		step{"completing", j.complete},
	)
}

// check refuses what is known to fail, before anything is changed.
func (j *join) check(ctx context.Context) error {
	state, err := replication.OpenState(j.StateFile())
	if err == nil && state.Current().Duty == replication.Active {
		return hinted("run ktadmin init-slave on the other host", "this host is the active of a pair")
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if j.inst, err = postgres.Find(ctx); err != nil {
		return err
	}
	journal, err := j.Journal()
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(j.PGRoot)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(entries) > 0 && (journal == nil || journal.Making != j.PGRoot) {
		return hinted("move it aside, or name another one with --pg-rootdir; nothing was changed", "the directory %s is not empty", j.PGRoot)
	}
	done, err := j.Initialized()
	switch own, cerr := j.authorityCertificate(); {
	case err != nil && j.o.Token == nil:
		return err
	case !done && j.o.Token == nil:
		return hinted("copy it from the active (rsync --exclude .ssl), or give a token of ktadmin join-token with --token-file",
			"there is neither a join token nor a copied %s", j.Confdir)
	case cerr == nil && j.o.Token != nil && certs.FingerprintOf(own) != j.o.Token.Authority:
		return hinted("use a token of that cluster, or move "+j.Confdir+" aside", "the join token is of another cluster than %s", j.Confdir)
	case j.o.Token != nil && j.o.Token.Expired(time.Now()):
		return hinted("make another one with ktadmin join-token on the active", "this join token expired at %s", stamp(j.o.Token.Expires))
	}
	return nil
}

// create asks the active for admission.
func (j *join) create(ctx context.Context, _ *Journal) error {
	j.o.Progress.Stage(Creating)
	if err := j.makeDirectories(); err != nil {
		return err
	}
	if err := durable.MkdirAll(filepath.Dir(j.ClusterFiles().Cert), 0o700); err != nil {
		return err
	}
	root, err := seal.LoadRoot(seal.RootPath(j.Confdir))
	if errors.Is(err, fs.ErrNotExist) {
		root, err = seal.NewRoot(seal.RootPath(j.Confdir))
	}
	if err != nil {
		return err
	}
	public, err := root.Public().MarshalText()
	if err != nil {
		return err
	}
	hostname, err := os.Hostname()
	if err != nil {
		return err
	}
	q := joinRequest{Name: j.o.Name, Address: j.o.Address, Hostname: hostname, Port: j.o.Port, ClusterPort: j.o.ClusterPort, DBPort: j.o.DBPort,
		Root: string(public), Incarnation: j.incarnation, PostgreSQL: j.inst.Version.Major}
	if ip := net.ParseIP(j.ListenAddress); ip != nil && !ip.IsUnspecified() {
		q.Hosts = []string{j.ListenAddress}
	}
	if q.ClusterCSR, j.clusterKey, err = newRequest(hostname); err != nil {
		return err
	}
	if q.PublicCSR, j.publicKey, err = newRequest(hostname); err != nil {
		return err
	}
	client, err := j.client()
	if err != nil {
		return err
	}
	defer client.close()
	if j.o.Token != nil {
		q.Secret = j.o.Token.Secret()
	} else if err := j.prove(ctx, client, &q); err != nil {
		return err
	}
	j.answer = new(joinAnswer)
	return client.call(ctx, admitPath, q, j.answer)
}

func newRequest(name string) (csr, keyPEM []byte, err error) {
	key, keyPEM, err := certs.NewKey()
	if err != nil {
		return nil, nil, err
	}
	csr, err = certs.NewCSR(key, name)
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

// client reaches the active's cluster listener, and believes the token's authority or the copied one.
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
	return newJoinClient(net.JoinHostPort(j.o.Active, strconv.Itoa(j.Host.ClusterPort)), certs.FingerprintOf(authority)), nil
}

// bootstrap puts the cluster's files and this host's certificates in place, and configures this host.
func (j *join) bootstrap(ctx context.Context, _ *Journal) error {
	j.o.Progress.Stage(Bootstrapping)
	if err := j.unbundle(j.answer.Files); err != nil {
		return err
	}
	if err := seal.WriteWraps(j.Confdir, j.answer.Wraps); err != nil {
		return err
	}
	if _, err := seal.Load(j.Confdir); err != nil {
		return err
	}
	if err := j.install(j.ClusterFiles(), j.clusterKey, j.answer.ClusterCertificate); err != nil {
		return err
	}
	// Without a token ktadmin init comes next, which knows the external address.
	if j.o.Token != nil || j.o.Address != "" {
		ca, err := os.ReadFile(j.AuthorityFile())
		if err != nil {
			return err
		}
		if err := durable.WriteFile(j.PublicFiles().CA, ca, 0o644); err != nil {
			return err
		}
		if err := j.install(j.PublicFiles(), j.publicKey, j.answer.PublicCertificate); err != nil {
			return err
		}
	}
	if err := j.bind(); err != nil {
		return err
	}
	active := j.answer.Active
	configured, err := j.o.Configure(Learned{Name: j.answer.Name, Address: j.answer.Address, Active: Peer{Name: active.Name, Address: active.Address}})
	if err != nil {
		return err
	}
	configured.failpoint = j.Host.failpoint
	j.Host = configured
	j.server, err = j.Server(ctx)
	return err
}

func (j *join) install(files certs.Files, key, cert []byte) error {
	if err := durable.WriteFile(files.Key, key, 0o600); err != nil {
		return err
	}
	return durable.WriteFile(files.Cert, cert, 0o644)
}

// copy takes the base backup, through the slot that the active made, over the replication line with this host's own
// certificate.
func (j *join) copy(ctx context.Context, journal *Journal) error {
	j.o.Progress.Stage(InitialSync)
	if err := j.clearMaking(journal, j.PGRoot); err != nil {
		return err
	}
	if err := j.reached("join: copying"); err != nil {
		return err
	}
	own := j.ClusterFiles()
	active := activePeer(j.Host.Peer, j.answer.Active)
	source := postgres.ConnString("host", active.Address, "port", strconv.Itoa(active.DatabasePort), "user", postgres.Replicator,
		"application_name", j.answer.Admission.StandbyName, "sslmode", "verify-full", "sslrootcert", own.CA, "sslcert", own.Cert,
		"sslkey", own.Key, "gssencmode", "disable", "connect_timeout", "10")
	err := postgres.BaseBackup(ctx, j.server.Installation, postgres.BaseBackupOptions{
		ConnString: source, Slot: j.answer.Admission.Slot, Target: j.PGRoot,
	}, j.o.Progress.Bytes)
	if err != nil {
		return errors.Join(err, j.notMaking(journal)) // BaseBackup left the directory empty
	}
	return nil
}

// activePeer is the active, at the address that this host's configuration gives it, if it gives one.
func activePeer(configured Peer, told replication.Peer) replication.Peer {
	if configured.Address != "" {
		told.Address = configured.Address
	}
	if configured.Source != "" {
		told.Source = configured.Source
	}
	return told
}

// verify compares every file of the copy with the manifest. A copy that differs is moved aside.
func (j *join) verify(ctx context.Context, journal *Journal) error {
	j.o.Progress.Stage(Verifying)
	if err := j.reached("join: verifying"); err != nil {
		return err
	}
	err := postgres.VerifyBackup(ctx, j.server.Installation, j.PGRoot, nil)
	if _, damaged := errors.AsType[*postgres.DamageError](err); !damaged {
		return err
	}
	aside := j.PGRoot + ".damaged-" + time.Now().UTC().Format("20060102T150405")
	if merr := durable.Rename(j.PGRoot, aside); merr != nil {
		return errors.Join(err, merr)
	}
	if merr := j.notMaking(journal); merr != nil {
		return errors.Join(err, merr)
	}
	return hinted("look at the disk and the network, then repeat the command", "%w; the copy was moved to %s and not started", err, aside)
}

// complete configures the copy as a standby that streams from nowhere yet, and writes the state file: from then on this
// host is the passive.
func (j *join) complete(context.Context, *Journal) error {
	j.o.Progress.Stage(Completing)
	if err := j.server.SetSignal(postgres.StandbySignal); err != nil {
		return err
	}
	active := activePeer(j.Host.Peer, j.answer.Active)
	state := replication.State{
		Self: j.answer.Name, Duty: replication.Passive, Epoch: j.answer.Admission.Epoch, SystemID: j.answer.Admission.SystemID,
		Incarnation: j.incarnation, Peer: &active,
	}
	if err := replication.PrepareStart(j.server, state); err != nil {
		return err
	}
	if err := durable.Remove(j.StateFile()); err != nil { // of an earlier copy that this one replaces
		return err
	}
	if err := j.reached("join: state"); err != nil {
		return err
	}
	_, err := replication.CreateState(j.StateFile(), state)
	return err // until the journal goes, which is next, nothing starts the copy, and a repeated join makes it anew
}
