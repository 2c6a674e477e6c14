package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"keytrustee/backup"
	"keytrustee/internal/config"
)

func newBackupCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Make encrypted backups of this host, each restored before it counts",
		Long: "backup makes and shows the backups of this host. They lie in backup_directory, and only who has an identity of one of the\n" +
			"backup_recipients can read them. docs/backup-format.md says what is in one, and how it is opened.",
	}
	cmd.AddCommand(newBackupCreateCommand(a), newBackupListCommand(a), newBackupShowCommand(a), newBackupVerifyCommand(a), newBackupScheduleCommand(a),
		newBackupShipCommand(a), newRestoreTestCommand(a))
	return cmd
}

func newBackupListCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the backups that were verified",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := a.load()
			if err != nil {
				return err
			}
			catalog, err := backup.List(c.BackupDirectory)
			if err != nil {
				return err
			}
			slices.SortStableFunc(catalog.Backups, func(a, b backup.Receipt) int { // the one to take when both hosts are lost is the last
				return cmp.Or(cmp.Compare(a.Manifest.Epoch, b.Manifest.Epoch), a.Manifest.Started.Compare(b.Manifest.Started))
			})
			shipped, err := backup.LoadShipped(c.BackupDirectory)
			if err != nil {
				a.say("note: %v", err)
			}
			last, err := backup.LoadTested(hostOf(c).RestoreTestFile())
			if err != nil {
				a.say("note: %v", err)
			}
			if a.format == "json" {
				return a.result(inventory{catalog, shipped, last}, nil)
			}
			a.sayLastTest(last)
			if n := len(catalog.LeftOut); n > 0 {
				a.say("note: %d left out, for it was not verified, or is not what was:", n)
			}
			for _, l := range catalog.LeftOut {
				a.say("  %q: %s", l.File, l.Why)
			}
			a.sayUnauthenticated(catalog.Backups)
			a.whereAll(c, catalog.Backups, shipped)
			return a.table(catalog.Backups, shipped)
		},
	}
}

// inventory is the result of backup list.
type inventory struct {
	backup.Catalog
	Shipped  backup.Shipped `json:"shipped"`
	LastTest *backup.Tested `json:"last_restore_test"` // null: none is on record
}

func (a *app) sayLastTest(t *backup.Tested) {
	if t == nil {
		a.say("note: no restore test is on record, so nothing has shown that an identity opens a backup, and the recovery key its keys: docs/backup.md")
		return
	}
	a.say("note: the last restore test was %d days ago, of %s: %s", int(time.Since(t.Tested).Hours()/24), t.Name, stamp(t.Tested))
}

// sayUnauthenticated names the backups that do not show who made them.
func (a *app) sayUnauthenticated(backups []backup.Receipt) {
	n, newest := 0, false
	for _, b := range backups {
		newest = !b.Authenticated
		if newest {
			n++
		}
	}
	if n == 0 {
		return
	}
	a.say("note: %d show not themselves who made them (AUTHENTIC no): restore-test and restore want their --sha256, as backup show says it here", n)
	if newest {
		a.say("  later ones do, once a host has seen the recovery key: ktadmin root-key confirm-recovery")
	}
}

// table shows backups, one a line.
func (a *app) table(backups []backup.Receipt, shipped backup.Shipped) error {
	t := tabwriter.NewWriter(a.cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tTIME\tVERIFIED\tSIZE\tKEYS\tVERSIONS\tAUTHENTIC\tOTHER HOST\tALSO AT")
	for _, b := range backups {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\n", b.Name, stamp(b.Manifest.Started), stamp(b.Verified), mebibytes(b.Size), b.Rows.Keys, b.Rows.Versions, yesNo(b.Authenticated), otherColumn(b.Manifest.Other),
			orDash(strings.Join(shipped.Where(b), ", ")))
	}
	return t.Flush()
}

func newBackupShowCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME",
		Short: "Say everything that was seen of a backup when it was verified",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := a.load()
			if err != nil {
				return err
			}
			receipt, err := backup.Show(c.BackupDirectory, args[0])
			if err != nil {
				return err
			}
			return a.result(receipt, receiptRows(receipt, c))
		},
	}
}

// verified is the result of backup verify.
type verified struct {
	Name     string    `json:"name"`
	Size     int64     `json:"size"`
	SHA256   string    `json:"sha256"`
	Verified time.Time `json:"verified"` // by a restore
	Same     bool      `json:"same"`     // it is what it was then
}

func newBackupVerifyCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "verify NAME",
		Short: "Make sure that a backup is, byte for byte, what was verified when it was made",
		Long: "verify reads the whole file and compares its SHA-256 with the receipt's. It does not look inside: what opens a backup is an identity, and\n" +
			"none lies on this host. What proves that an identity opens it is ktadmin backup restore-test, away from this host.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.load()
			if err != nil {
				return err
			}
			r, err := backup.Verify(cmd.Context(), c.BackupDirectory, args[0], a.display())
			if err != nil {
				return err
			}
			a.arrived()
			a.say("note: the file is what was restored on this host at %s. That an identity of a recipient opens it only that identity can prove,\n"+
				"away from this host: docs/backup.md", stamp(r.Verified))
			return a.result(verified{r.Name, r.Size, r.SHA256, r.Verified, true},
				[]row{{"backup", r.Name}, {"file", "the same as when it was verified"}, {"verified", stamp(r.Verified)}, {"sha256", r.SHA256}})
		},
	}
}

// receiptRows is a receipt for people.
func receiptRows(r backup.Receipt, c *config.Config) []row {
	m := r.Manifest
	rows := []row{
		{"backup", r.Name},
		{"file", backup.File(c.BackupDirectory, r.Name)},
		{"begun", stamp(m.Started)},
		{"verified", stamp(r.Verified) + ", by a restore on " + m.Host},
		{"size", mebibytes(r.Size)},
		{"sha256", r.SHA256},
		{"authentic", authenticWords(r)},
		{"keys", fmt.Sprint(r.Rows.Keys)},
		{"versions", fmt.Sprint(r.Rows.Versions)},
		{"changes", fmt.Sprint(r.Rows.Changes)},
		{"newer rows", fmt.Sprintf("%d, in the base backup alone", r.Newer)},
		{"host", fmt.Sprintf("%s, %s, epoch %d-%s", m.Host, m.Duty, m.Epoch, m.EpochID)},
		{"other host", otherWords(m.Other)},
		{"cluster", m.Cluster},
		{"database", fmt.Sprintf("PostgreSQL %s, system %d", m.PostgreSQL, m.SystemID)},
		{"log", fmt.Sprintf("%s to %s on timeline %s", r.Start.LSN, r.End.LSN, r.End.Timeline)},
		{"keytrustee", m.Product},
		{"root key", m.RootKey},
		{"recovery key", orDash(m.RecoveryKey)},
		{"encrypts keys", strings.Join(m.KEKs, ", ")},
	}
	for i, text := range m.Recipients {
		name := ""
		if i == 0 {
			name = "recipients"
		}
		rows = append(rows, row{name, backup.ShortRecipient(text)})
	}
	return rows
}

// authenticWords says whether a backup shows who made it.
func authenticWords(r backup.Receipt) string {
	if r.Authenticated {
		return "yes: the recovery key shows that a host of this cluster made it"
	}
	return "NO: nothing in it shows who made it; restore-test and restore want --sha256. For later ones: ktadmin root-key confirm-recovery"
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
