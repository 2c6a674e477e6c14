package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"keytrustee/cmd/internal/thishost"
	"keytrustee/host"
	"keytrustee/internal/config"
	"keytrustee/replication"
)

func newBackupScheduleCommand(a *app) *cobra.Command {
	var set string
	cmd := &cobra.Command{
		Use:   "schedule",
		Short: "Say when the next backup is made and by which host, and when the last one was; with --set, change it",
		Long: "schedule shows when keytrusteed has backups made, and this host's part in that: of a pair, the passive makes them while it is confirmed,\n" +
			"otherwise the active. --set writes backup_schedule into keytrustee.yaml of this host: minute, hour, day of the month, month and day of the\n" +
			"week, in UTC; off leaves backups to a timer or to cron. It holds within a quarter of a minute, without a restart.",
		Example: `  ktadmin backup schedule --set "0 * * * *"`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.load()
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("set") {
				if c, err = a.setSchedule(c, set); err != nil {
					return err
				}
			}
			b, err := a.backupsOf(c)
			if err != nil {
				return err
			}
			return a.result(b, scheduleRows(b, time.Now()))
		},
	}
	cmd.Flags().StringVar(&set, "set", "", "the new schedule: a cron expression in UTC, or off")
	return cmd
}

// setSchedule writes the schedule, and returns the configuration that holds then.
func (a *app) setSchedule(c *config.Config, text string) (*config.Config, error) {
	wanted := *c
	wanted.BackupSchedule = text
	s, err := thishost.Schedule(&wanted)
	if err != nil {
		return nil, err
	}
	if err := c.SetShared("backup_schedule", s.String()); err != nil {
		return nil, err
	}
	holds, err := config.Load(c.Confdir)
	if err != nil {
		return nil, err
	}
	if holds.BackupSchedule != s.String() {
		a.say("note: keytrustee.yaml has it, but node.yaml or KEYTRUSTEE_BACKUP_SCHEDULE says %q on this host, and that holds", holds.BackupSchedule)
	}
	a.say("note: this host alone has it; set it on the other one too, for either may have to make the backups")
	return holds, nil
}

// backupsOf is how it stands with the backups: by the daemon's word for what it alone knows, by the files for the rest.
func (a *app) backupsOf(c *config.Config) (replication.Backups, error) {
	b, _ := thishost.Backups(c, time.Now())
	s, err := adminOf(c).Status(a.cmd.Context())
	switch {
	case errors.Is(err, host.ErrDaemonDown), errors.Is(err, host.ErrDaemonStuck):
		b.Part = "nobody on this host: " + err.Error()
		return b, nil
	case err != nil:
		return b, err
	}
	k := known(s)
	if k == nil {
		b.Part = "not known yet: keytrusteed has just started"
		return b, nil
	}
	b.Other, b.Mine, b.Part, b.Running, b.Late, b.OtherTargets = k.Other, k.Mine, k.Part, k.Running, k.Late, k.OtherTargets
	if b.Schedule == k.Schedule {
		b.Due = k.Due
	}
	return b, nil
}

// known is what a daemon that answered said of the backups.
func known(s host.Status) *replication.Backups {
	if s.Report == nil || s.Report.Beside == nil {
		return nil
	}
	return s.Report.Beside.Backups
}

// scheduleRows is b for people.
func scheduleRows(b replication.Backups, now time.Time) []row {
	when := b.Schedule + ", in UTC"
	if b.Schedule == "off" {
		when = "off: keytrusteed makes no backup; a timer or cron may"
	}
	rows := []row{{"schedule", when}, {"made by", b.Part}, {"next", nextBackup(b, now)}, {"newest", newestBackup(b, now)}}
	if !b.Other.IsZero() {
		rows = append(rows, row{"", fmt.Sprintf("of the other host begun at %s, as that said last", stamp(b.Other))})
	}
	rows = append(rows, row{"last try", lastTry(b)})
	if b.Failure != "" && b.Remedy != "" {
		rows = append(rows, row{"", b.Remedy})
	}
	rows = append(rows, row{"directory", b.Directory}, row{"recipients", fmt.Sprint(b.Recipients)})
	if b.Trouble != "" {
		rows = append(rows, row{"trouble", b.Trouble})
	}
	return rows
}

func nextBackup(b replication.Backups, now time.Time) string {
	switch {
	case b.Running:
		return "is being made now"
	case b.Schedule != "off" && b.Recipients == 0:
		return "never: backup_recipients names nobody who could read it"
	case b.Due.IsZero():
		return "-"
	case !b.Due.After(now):
		return "is due since " + stamp(b.Due)
	}
	return stamp(b.Due)
}

func newestBackup(b replication.Backups, now time.Time) string {
	if b.Newest.IsZero() {
		return "none on this host"
	}
	return fmt.Sprintf("%s, begun at %s, %s ago", b.Name, stamp(b.Newest), now.Sub(b.Newest).Truncate(time.Minute))
}

func lastTry(b replication.Backups) string {
	switch {
	case b.Tried.IsZero():
		return "none on this host"
	case b.Failure != "":
		return fmt.Sprintf("at %s, which FAILED: %s", stamp(b.Tried), b.Failure)
	case b.Tried.After(b.Newest):
		return fmt.Sprintf("at %s, which has not ended, or was killed", stamp(b.Tried))
	}
	return "at " + stamp(b.Tried) + ", which succeeded"
}
