package host

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"keytrustee/certs"
	"keytrustee/kms/seal"
	"keytrustee/postgres"
	"keytrustee/replication"
)

// Backup is a backup that was unpacked, and what it says of the host that it is of.
type Backup struct {
	Host           string    // the node's name
	Started        time.Time // what was acknowledged before is in it
	Keys, Versions int64
	By             string        // how it is known who made it
	Warning        string        // why another backup may have more; empty: nothing says so
	Data, Config   string        // where its data directory lies, and what BackupFiles returned, by its names
	Major          int           // the major version of PostgreSQL that has made it
	Dump           postgres.Dump // its logical dump, in files that are open, wherever they lie
	// Address and ClusterPort are how the host was reached.
	Address     string
	ClusterPort int
}

// look finds out whose pair the backup is of, and whether it may be rebuilt.
func (r *rebuild) look(ctx context.Context) error {
	b := r.backup
	if err := r.readFiles(); err != nil {
		return hinted("use another backup", "the files of %s in the backup: %w", b.Host, err)
	}
	if err := r.settleName(); err != nil {
		return err
	}
	// Whatever the lost hosts have come to since, one command of an operator at a time: it is behind.
	r.epoch = replication.NewEpoch(r.was.Epoch.Number + epochsSince)
	r.looked = replication.Operated{Host: r.self, Plan: r.plan(),
		Sentence: fmt.Sprintf("nothing was changed; %s would be the active, restored from a backup of %s", r.self, b.Host)}
	r.good("the backup is whole: %d keys with %d versions, of %s, which was the %s in epoch %s; it was begun at %s", b.Keys, b.Versions, b.Host, r.was.Duty, r.was.Epoch, stamp(b.Started))
	r.good("it was made by %s", b.By)
	if err := r.lookAtRecovery(); err != nil {
		return err
	}
	return r.lookForTheLost(ctx)
}

// epochsSince is how many epochs a pair is taken to have begun, at most, since the backup was made.
const epochsSince = 100

func (r *rebuild) good(format string, args ...any) {
	r.looked.Findings = append(r.looked.Findings, replication.Finding{What: fmt.Sprintf(format, args...), OK: true})
}

func (r *rebuild) bad(hint, format string, args ...any) {
	r.looked.Findings = append(r.looked.Findings, replication.Finding{What: fmt.Sprintf(format, args...), Hint: hint})
}

// settleName finds out which of the two hosts this one is to be.
func (r *rebuild) settleName() error {
	p := r.was.Peer
	switch r.self = cmp.Or(r.o.Name, r.was.Self); {
	case r.self == r.was.Self:
		r.address = r.backup.Address
		if p != nil {
			r.other = p.Name
		}
	case p != nil && r.self == p.Name:
		r.address, r.other = p.Address, r.was.Self
	case p == nil:
		return hinted("leave out --name", "the backup is of %s, which had no other host, and this one is %q", r.was.Self, r.self)
	default:
		return hinted("give one of the two with --name", "the backup is of the pair of %s and %s, and this host is %q", r.was.Self, p.Name, r.self)
	}
	r.address = cmp.Or(r.o.Address, r.address)
	return nil
}

// otherAddress is how the other host was reached.
func (r *rebuild) otherAddress() string {
	switch {
	case r.other == r.was.Self:
		return r.backup.Address
	case r.other != "":
		return r.was.Peer.Address
	}
	return ""
}

// otherKey is the key by which the other host was known; empty where nothing says it.
func (r *rebuild) otherKey() string {
	if r.other != r.was.Self {
		return r.was.Peer.Key
	}
	cert, err := certs.ParseCertificate(r.files[ownCertificate])
	if err != nil {
		return ""
	}
	return replication.KeyOf(cert)
}

// confirmation is what an operator has to say. If it is not true, two hosts serve as the active, and what the other one has acknowledged
// since the backup is lost.
func (r *rebuild) confirmation() string {
	if r.other == "" {
		return r.self + " is lost"
	}
	return replication.Confirmation(r.other)
}

// plan is what would be done.
func (r *rebuild) plan() []string {
	plan := []string{
		fmt.Sprintf("everything that was acknowledged after %s is lost", stamp(r.backup.Started)),
		fmt.Sprintf("if there is a backup of a later epoch than %d, of either host, that is the one to take: this one may lack more", r.was.Epoch.Number),
		r.planData(),
		fmt.Sprintf("%s gets a new root key and new certificates; the recovery key stays what it is, and the root keys of the lost hosts open nothing here", r.self),
		"every version of every key is opened with the new root key before the database is used",
		fmt.Sprintf("%s is the active of epoch %d, without a passive: keys are read there, and writes are refused with no_passive until one has joined", r.self, r.epoch.Number),
		"what comes back of the lost hosts stays off: it is of an earlier epoch, and its root key is of no use here",
		fmt.Sprintf("to do it: the same command with --i-confirm %q", r.confirmation()),
	}
	if w := r.backup.Warning; w != "" {
		plan = slices.Insert(plan, 1, w)
	}
	return plan
}

// planData is what would become of the data.
func (r *rebuild) planData() string {
	if r.fromDump != "" {
		return fmt.Sprintf("%s: the keys come from the logical dump, into a new database of PostgreSQL %s in %s; what only the base backup has is left out, made while the backup was",
			r.fromDump, r.installation.Version, r.PGRoot)
	}
	return fmt.Sprintf("the database is unpacked to %s, recovers to the end of its log, and goes on there on a timeline of its own", r.PGRoot)
}

// lookAtRecovery makes sure that the recovery key is the cluster's. Whether it opens everything the database says at last: the confdir of a
// passive that joined with an earlier release lacks wraps.
func (r *rebuild) lookAtRecovery() error {
	_, err := seal.LoadWithRecovery(r.confdir, r.o.Recovery)
	if _, fewer := errors.AsType[*seal.UnrecoverableError](err); fewer && r.fromDump == "" {
		r.good("the recovery key is that of the cluster; whether it opens the key-encryption keys the database will say")
		return nil
	}
	if fewer, ok := errors.AsType[*seal.UnrecoverableError](err); ok { // the dump does not have what only the database has
		r.bad(fmt.Sprintf("install PostgreSQL %d, with which the base backup is restored, or take a backup of the other host", r.backup.Major), "%v", fewer)
		return nil
	}
	if err != nil {
		return hinted("give the recovery key of the cluster with --recovery-key; ktadmin init has shown it, or written it to a file", "%w", err)
	}
	r.good("the recovery key opens the key-encryption keys")
	return nil
}

// lookForTheLost asks both hosts of the backup, and whom the operator has named, whether they live: what lives has more than the backup.
func (r *rebuild) lookForTheLost(ctx context.Context) error {
	cert, err := certs.ParseCertificate(r.files[seal.AuthorityFile])
	if err != nil {
		return hinted("use another backup", "the authority's certificate in the backup: %w", err)
	}
	addresses := map[string]string{r.was.Self: net.JoinHostPort(r.backup.Address, strconv.Itoa(r.backup.ClusterPort))}
	names := []string{r.was.Self}
	if p := r.was.Peer; p != nil {
		addresses[p.Name], names = p.ClusterAddress(), append(names, p.Name)
	}
	for _, given := range r.o.AlsoAsk {
		at := given
		if _, _, err := net.SplitHostPort(given); err != nil {
			at = net.JoinHostPort(given, strconv.Itoa(r.backup.ClusterPort))
		}
		name := "the host at " + given
		addresses[name], names = at, append(names, name)
	}
	for _, name := range names {
		at := addresses[name]
		answers, alive, err := whoAnswers(ctx, at, certs.FingerprintOf(cert))
		host, _, _ := net.SplitHostPort(at)
		switch {
		case !alive:
			r.good("%s does not answer at %s: %v", name, at, err)
		case err != nil:
			r.bad("if that is "+name+", its data may be the good copy; if that is of no use, stop its services, and repeat this command",
				"something answers at %s, where %s was, and it is not known what: %v", at, name, err)
		default:
			r.bad(fmt.Sprintf("if it is the passive, restore from it: ktadmin join-token there, then ktadmin restore --from-survivor %s --token-file FILE on the host of the active; if it is the active: ktadmin init-slave --token-file FILE. "+
				"If its data is damaged: docs/runbook/data-damaged.md", host),
				"%s answers at %s as a host of this cluster: it may have every key that was acknowledged, and the backup has none that was made after %s", answers, at, stamp(r.backup.Started))
		}
	}
	return nil
}

// whoAnswers is the name of the node of the cluster that answers there. With an error it is none, and alive says whether anything answers
// that might be one.
func whoAnswers(ctx context.Context, address string, authority certs.Fingerprint) (name string, alive bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return "", false, err
	}
	defer conn.Close()
	secure := tls.Client(conn, certs.JoinerClient(authority))
	if err := secure.HandshakeContext(ctx); err != nil {
		return "", !errors.Is(err, certs.ErrForeign), err
	}
	name, _ = certs.NodeName(secure.ConnectionState().PeerCertificates[0]) // JoinerClient takes no other
	return name, true, nil
}
