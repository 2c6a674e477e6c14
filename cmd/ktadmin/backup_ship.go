package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"keytrustee/backup"
	"keytrustee/internal/config"
	"keytrustee/kms/seal"
)

func newBackupShipCommand(a *app) *cobra.Command {
	var targets []string
	cmd := &cobra.Command{
		Use:   "ship",
		Short: "Send the backups to every target that lacks some",
		Long: "ship sends each of the backup_targets the verified backups that it lacks, the newest first: over SFTP, to a host whose key\n" +
			"backup_ssh_known_hosts has, or to a directory of this host that is mounted from elsewhere. What was sent is read back and compared\n" +
			"before it gets its name. What was interrupted is gone on with. A target that is down keeps no other from being sent to; the exit status\n" +
			"is 0 when every target has everything. Then those backups of this host are removed there that backup_keep_hourly, backup_keep_daily and\n" +
			"backup_keep_weekly do not keep. backup create does the same when it has made a backup.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.load()
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("target") {
				c.BackupTargets = targets
			}
			if len(c.BackupTargets) == 0 {
				return &config.InvalidError{Faults: []config.Fault{{Field: "backup_targets", Problem: "there is none",
					Remedy: "give one or more, as sftp://USER@HOST/DIRECTORY or file:///DIRECTORY: docs/backup.md"}}}
			}
			deliveries, err := a.ship(cmd.Context(), c, 0)
			if deliveries == nil {
				return err
			}
			return errors.Join(a.deliveries(deliveries), err)
		},
	}
	cmd.Flags().StringArrayVar(&targets, "target", nil, "send to this one, instead of backup_targets; may be given several times")
	return cmd
}

// ship sends the backups. After enough, if that is not 0, it begins with no further one.
func (a *app) ship(ctx context.Context, c *config.Config, enough time.Duration) ([]backup.Delivery, error) {
	targets, err := targetsOf(c)
	if err != nil {
		return nil, err
	}
	o := a.shipOptions(c, targets)
	o.Enough = enough
	return backup.Ship(ctx, o)
}

func (a *app) shipOptions(c *config.Config, targets []backup.Target) backup.ShipOptions {
	o := backup.ShipOptions{
		Directory: c.BackupDirectory, LockFile: hostOf(c).ShipLock(), Targets: targets,
		SSH:   backup.SSH{KnownHosts: c.BackupSSHKnownHosts, Key: c.BackupSSHKey, Agent: os.Getenv("SSH_AUTH_SOCK")},
		Stage: func(what string) { a.say("%s…", what) }, Progress: a.display(), Retention: retentionOf(c),
	}
	if root, err := seal.LoadRoot(seal.RootPath(c.Confdir)); err == nil { // without it nobody can tell which backups are of this host as it is
		o.Host, o.Cluster, o.RootKey = c.Name, c.ClusterID, root.Public().Fingerprint()
	}
	return o
}

// targetsOf reads the targets of backups. What is wrong with them is wrong with the configuration.
func targetsOf(c *config.Config) ([]backup.Target, error) {
	targets, err := backup.ParseTargets(c.BackupTargets)
	invalid := new(config.InvalidError)
	if wrong, ok := errors.AsType[*backup.TargetsError](err); ok {
		for _, f := range wrong.Faults {
			invalid.Faults = append(invalid.Faults, config.Fault{Field: "backup_targets", Problem: f.Problem, Remedy: f.Remedy})
		}
		return nil, invalid
	} else if err != nil {
		return nil, err
	}
	if backup.NeedSSH(targets) && c.BackupSSHKnownHosts == "" {
		invalid.Faults = append(invalid.Faults, config.Fault{Field: "backup_ssh_known_hosts", Problem: "is empty, so no host of an sftp:// target is known",
			Remedy: "name a file in the form of OpenSSH's known_hosts with their keys: docs/backup.md"})
		return nil, invalid
	}
	return targets, nil
}

// deliveries shows what came of the targets, one a line.
func (a *app) deliveries(deliveries []backup.Delivery) error {
	a.arrived()
	if a.format == "json" {
		return a.result(deliveries, nil)
	}
	t := tabwriter.NewWriter(a.cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "TARGET\tSENT\tSIZE\tREMOVED\tMISSING")
	for _, d := range deliveries {
		fmt.Fprintf(t, "%s\t%d\t%s\t%d\t%d\n", d.Target, len(d.Sent), mebibytes(d.Bytes), len(d.Removed), len(d.Missing))
	}
	return t.Flush()
}

// shipNew sends a backup that was just made. That is there whatever comes of this, so it is no error. What it sends besides must not
// hold up the next backup.
func (a *app) shipNew(c *config.Config) {
	if len(c.BackupTargets) == 0 {
		return
	}
	const enough, most = 15 * time.Minute, 30 * time.Minute // what is on its way then is gone on with by the next run
	ctx, cancel := context.WithTimeoutCause(a.cmd.Context(), most, fmt.Errorf("it was not sent within %v, and the next backup is not to wait for it", most))
	defer cancel()
	if _, err := a.ship(ctx, c, enough); err != nil {
		a.say("note: the backup was made. %v\nhint: %s", err, hint(a.cmd, err))
	}
}

// whereAll notes which targets lack some of the backups.
func (a *app) whereAll(c *config.Config, backups []backup.Receipt, shipped backup.Shipped) {
	targets, err := backup.ParseTargets(c.BackupTargets)
	if err != nil {
		a.say("note: %v", err)
	}
	for _, t := range targets {
		missing := 0
		for _, b := range backups {
			if !shipped.Has(t.String(), b) {
				missing++
			}
		}
		if missing > 0 {
			a.say("note: %s has confirmed %d of %d; to send what it lacks: ktadmin backup ship", t, len(backups)-missing, len(backups))
		}
	}
}
