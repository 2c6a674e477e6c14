package host

import (
	"context"
	"errors"
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

// bootstrap puts the cluster's files and this host's certificates in place, and configures this host.
func (j *join) bootstrap(ctx context.Context, journal *Journal) error {
	j.stage(bootstrapping)
	if err := j.keepFiles(journal); err != nil {
		return err
	}
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
	if err := j.installPublic(); err != nil {
		return err
	}
	other := j.answer.Active
	configured, err := j.o.Configure(Learned{Name: j.answer.Name, Address: j.answer.Address, Active: Peer{Name: other.Name, Address: other.Address}})
	if err != nil {
		return err
	}
	configured.failpoint = j.Host.failpoint
	j.Host = configured
	j.server, err = j.Server(ctx)
	return err
}

// installPublic puts the certificate that clients see in place. A host that has one keeps it: it may be an operator's own.
func (j *join) installPublic() error {
	if j.o.Token == nil && j.o.Address == "" {
		return nil // ktadmin init comes next, which knows the external address
	}
	public := j.PublicFiles()
	public.Address = j.answer.Address
	if j.o.Kind != NewPassive {
		if _, err := certs.NewReloader(public, nil); err == nil {
			return nil
		}
	}
	ca, err := os.ReadFile(j.AuthorityFile())
	if err != nil {
		return err
	}
	if err := durable.WriteFile(public.CA, ca, 0o644); err != nil {
		return err
	}
	return j.install(public, j.publicKey, j.answer.PublicCertificate)
}

// install puts a key and its certificate in place. A crash between the two leaves what belongs to two hosts; the join, repeated,
// replaces both, and Abort puts back what was there.
func (j *join) install(files certs.Files, key, cert []byte) error {
	if err := durable.WriteFile(files.Key, key, 0o600); err != nil {
		return err
	}
	if err := j.point("key of " + filepath.Base(files.Cert)); err != nil {
		return err
	}
	return durable.WriteFile(files.Cert, cert, 0o644)
}

// copy takes the base backup, through the slot that the other host made, over the replication line with this host's own
// certificate.
func (j *join) copy(ctx context.Context, journal *Journal) error {
	j.stage(initialSync)
	if err := j.stopCopy(ctx, journal); err != nil {
		return err
	}
	if err := j.clearMaking(journal, j.PGRoot); err != nil {
		return err
	}
	if err := j.point("copying"); err != nil {
		return err
	}
	own, from := j.ClusterFiles(), j.other()
	source := postgres.ConnString("host", from.Address, "port", strconv.Itoa(from.DatabasePort), "user", postgres.Replicator,
		"application_name", j.answer.Admission.StandbyName, "sslmode", "verify-full", "sslrootcert", own.CA, "sslcert", own.Cert,
		"sslkey", own.Key, "gssencmode", "disable", "connect_timeout", "10")
	err := postgres.BaseBackup(ctx, j.server.Installation, postgres.BaseBackupOptions{
		ConnString: source, Slot: j.answer.Admission.Slot, Target: j.PGRoot, Lock: journal.lock,
	}, j.o.Progress.Bytes)
	if _, damaged := errors.AsType[*postgres.PagesError](err); damaged {
		err = j.sourceDamaged(err)
	}
	if err != nil {
		return errors.Join(err, j.notMaking(journal)) // BaseBackup left the directory empty
	}
	return nil
}

// sourceDamaged says that the other host's data is of no use for a copy, and what to do.
func (j *join) sourceDamaged(err error) error {
	other := j.answer.Active.Name
	if j.o.Kind == Restore {
		return hinted("nothing was restored, and the disk of "+other+" is to be kept. Give this up here: ktadmin restore --abort; then docs/runbook/data-damaged.md",
			"the data of %s, which survived, is damaged: %w", other, err)
	}
	return hinted("nothing was copied. Give this up here, which puts back what was moved aside: ktadmin init-slave --abort. If this host was the passive, it has what "+other+
		" has lost: start its services, and do what ktadmin status says on "+other, "the data of %s, the active, is damaged: %w", other, err)
}

// other is who admitted this host, as this host reaches it.
func (j *join) other() replication.Peer { return activePeer(j.Host.Peer, j.answer.Active) }

// verify compares every file of the copy with the manifest. A copy that differs is moved aside.
func (j *join) verify(ctx context.Context, journal *Journal) error {
	j.stage(verifying)
	if err := j.point("verifying"); err != nil {
		return err
	}
	err := postgres.VerifyBackup(ctx, j.server.Installation, j.PGRoot, nil)
	if _, damaged := errors.AsType[*postgres.DamageError](err); !damaged {
		return err
	}
	aside := j.PGRoot + ".damaged-" + time.Now().UTC().Format(asideStamp)
	if merr := durable.Rename(j.PGRoot, aside); merr != nil {
		return errors.Join(err, merr)
	}
	if merr := j.notMaking(journal); merr != nil {
		return errors.Join(err, merr)
	}
	return hinted("look at the disk and the network, then repeat the command", "%w; the copy was moved to %s and not started", err, aside)
}

// complete writes the state file: from then on this host is what it joined as.
func (j *join) complete(_ context.Context, journal *Journal) error {
	j.stage(completing)
	state := j.passive()
	signal := postgres.StandbySignal
	if j.o.Kind == Restore {
		state, signal = j.restored(), postgres.NoSignal
	}
	if err := j.server.SetSignal(signal); err != nil {
		return err
	}
	if err := replication.PrepareStart(j.server, state); err != nil {
		return err
	}
	if err := j.point("state"); err != nil {
		return err
	}
	if err := j.keepFormer(journal); err != nil {
		return err
	}
	// Until the journal goes, which is next, nothing starts the copy, and a repeated join makes it anew.
	if err := j.replaceState(state); err != nil {
		return err
	}
	return j.bind()
}

// passive is the state of a copy that streams from nowhere yet.
func (j *join) passive() replication.State {
	active := j.other()
	return replication.State{
		Self: j.answer.Name, Duty: replication.Passive, Epoch: j.answer.Admission.Epoch, SystemID: j.answer.Admission.SystemID,
		Incarnation: j.incarnation, Peer: &active,
	}
}

// replaceState writes the state file, whether there is one or not.
func (h *Host) replaceState(s replication.State) error {
	next := h.StateFile() + ".next"
	if err := durable.Remove(next); err != nil {
		return err
	}
	if _, err := replication.CreateState(next, s); err != nil {
		return err
	}
	return durable.Rename(next, h.StateFile())
}

// stopCopy ends the server of the copy that an earlier attempt was making, if that attempt was killed while it ran.
func (h *Host) stopCopy(ctx context.Context, journal *Journal) error {
	if journal.Making != h.PGRoot {
		return nil
	}
	if have, err := exists(h.PGRoot); err != nil || !have {
		return err
	}
	if err := h.checkMarked(journal, h.PGRoot); err != nil {
		return err
	}
	server, err := h.Server(ctx)
	if errors.Is(err, postgres.ErrNoVersion) {
		return nil
	} else if err != nil {
		return err
	}
	return server.End(ctx)
}
