package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"keytrustee/backup"
	"keytrustee/cmd/internal/thishost"
	"keytrustee/host"
	"keytrustee/internal/config"
	"keytrustee/internal/release"
	"keytrustee/internal/seam"
	"keytrustee/internal/spare"
	"keytrustee/kms/seal"
)

func newBackupCreateCommand(a *app) *cobra.Command {
	var f createFlags
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a backup of this host, restore it, and keep it if every key was found again and opened",
		Long: "create copies the database and the settings of this host, encrypted before they touch a disk, reads the copy back, starts a PostgreSQL\n" +
			"from it that nobody reaches, and opens every version of every key in it. Only then is there a backup. It works on either host, and needs\n" +
			"at least two backup_recipients in keytrustee.yaml; without them there is no backup, and none is ever written in clear. After it, the\n" +
			"backups of this host that backup_keep_hourly, backup_keep_daily and backup_keep_weekly do not keep are removed, and what\n" +
			"the backup_targets lack is sent to them, as by backup ship: a target that is down is noted, and the backup is there all the same.\n\n" +
			"With --copy-to the new backup is copied to that directory as well, read back and compared, and the command fails where that can not be done.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.createBackup(f) },
	}
	f.addTo(cmd)
	return cmd
}

func (a *app) createBackup(f createFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	c, err := a.load()
	if err != nil {
		return err
	}
	copyTo, err := a.copyTarget(c, f)
	if err != nil {
		return err
	}
	record := func(attempt backup.Attempt) {
		if err := attempt.Save(hostOf(c).BackupAttempt()); err != nil {
			a.say("note: that this backup was tried can not be kept for the status of this host: %v", err)
		}
	}
	started := seam.Now().UTC().Truncate(time.Second)
	o, err := a.backupOptions(c)
	if err != nil {
		record(backup.EndedAttempt(started, "", err))
		return err
	}
	if err := namesRecipients(o.Recipients, f.recipients); err != nil {
		return err
	}
	o.Record, o.Wait, o.Paced = record, f.wait, spare.Used(0)
	stop := yieldSenders(o.Server)
	receipt, err := backup.Create(a.cmd.Context(), o)
	stop()
	if err != nil {
		return err
	}
	file, err := a.copyNew(c, receipt, copyTo, f)
	switch {
	case !f.pathOnly:
		err = errors.Join(a.result(receipt, receiptRows(receipt, c)), err)
	case err == nil:
		_, err = fmt.Fprintln(a.cmd.OutOrStdout(), file)
	}
	a.shipNew(c)
	return err
}

func (a *app) backupOptions(c *config.Config) (o backup.Options, err error) {
	recipients, err := thishost.Recipients(c, seam.Now())
	if err != nil {
		return o, err
	}
	h := hostOf(c)
	ring, err := seal.Load(c.Confdir)
	if err != nil {
		return o, err
	}
	facts, err := a.backupFacts(a.cmd.Context(), h)
	if err != nil {
		return o, err
	}
	server, err := h.Server(a.cmd.Context())
	if err != nil {
		return o, err
	}
	key, err := h.BackupKey(a.cmd.Context(), ring)
	if err != nil {
		return o, err
	}
	var by backup.Authenticator
	if key != nil {
		by = key
		a.shareBackupKey(h)
	} else if facts.RecoveryKey != "" {
		a.say("note: nothing in this backup shows who made it, for this host has not seen the recovery key since it was made or upgraded. Who restores it has to\n" +
			"know its SHA-256. Once, for all later ones: ktadmin root-key confirm-recovery")
	}
	return backup.Options{
		By: by, Server: server, Database: host.Database, Directory: c.BackupDirectory, LockFile: h.BackupLock(), Sockets: c.SocketDir,
		Recipients: recipients, Facts: facts, Config: h.BackupFiles, Checker: keyChecker{ring},
		Progress: a.display(), Retention: retentionOf(c), Retired: a.sayRetired, Now: seam.Now,
	}, nil
}

func retentionOf(c *config.Config) backup.Retention {
	return backup.Retention{Hourly: c.BackupKeepHourly, Daily: c.BackupKeepDaily, Weekly: c.BackupKeepWeekly}
}

// sayRetired tells what became of the backups that are not kept any longer. The new one is there, whatever it was.
func (a *app) sayRetired(names []string, err error) {
	for _, name := range names {
		a.say("removed %s, which is not kept any longer", name)
	}
	if err != nil {
		a.say("note: the backup was made. %v. The next one tries again", err)
	}
}

// backupFacts is what a backup says of the host that it is of.
func (a *app) backupFacts(ctx context.Context, h *host.Host) (backup.Facts, error) {
	s, err := h.Status()
	if err != nil {
		return backup.Facts{}, err
	}
	if s.State == nil {
		return backup.Facts{}, &host.HintedError{Err: errors.New("this host is of no pair yet, so it has nothing to back up"), Hint: "make its database first: ktadmin db --bootstrap, or ktadmin init-slave"}
	}
	if s.State.Fenced != nil {
		return backup.Facts{}, &host.HintedError{Err: fmt.Errorf("this host is fenced (%s): a backup of it would pass for one of the pair, and lack what the other host has", s.State.Fenced.Reason), Hint: s.State.FenceRemedy()}
	}
	word, err := host.AdminClient{Socket: h.AdminSocket()}.Status(ctx)
	if err != nil { // the daemon does not run, so nobody listens
		word = host.Status{}
	}
	s.Report = word.Report
	root, err := seal.LoadRoot(seal.RootPath(h.Confdir))
	if err != nil {
		return backup.Facts{}, err
	}
	wraps, err := seal.ReadWraps(h.Confdir)
	if err != nil {
		return backup.Facts{}, err
	}
	f := backup.Facts{
		Product: release.Version, Cluster: h.ClusterID, Host: s.State.Self, Duty: string(s.State.Duty), Epoch: s.State.Epoch.Number, EpochID: s.State.Epoch.ID,
		RootKey: root.Public().Fingerprint(), RecoveryKey: s.Recovery.Fingerprint,
		Other: otherHost(s, seam.Now()),
	}
	recoverable := map[string]bool{}
	for _, w := range wraps {
		f.KEKs = append(f.KEKs, w.KEK)
		recoverable[w.KEK] = recoverable[w.KEK] || w.Recipient == f.RecoveryKey
	}
	slices.Sort(f.KEKs)
	f.KEKs = slices.Compact(f.KEKs)
	for _, kek := range f.KEKs {
		if !recoverable[kek] {
			a.say("note: nothing but the root keys of the two hosts opens what was sealed with the key-encryption key %s, so this backup will not outlive\n"+
				"both hosts. Make a recovery key: ktadmin init --recovery-key-out FILE", kek)
		}
	}
	return f, nil
}
