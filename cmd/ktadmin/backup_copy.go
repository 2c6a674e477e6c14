package main

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"keytrustee/backup"
	"keytrustee/host"
	"keytrustee/internal/config"
)

// createFlags are the flags of backup create.
type createFlags struct {
	copyTo     string
	keep       int
	recipients []string
	wait       bool
	pathOnly   bool
}

func (f *createFlags) addTo(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.copyTo, "copy-to", "", "copy the new backup to this directory too, which has to be there")
	flags.IntVar(&f.keep, "keep", 0, "keep so many of this host's backups in the directory of --copy-to, the newest (default all)")
	flags.StringArrayVar(&f.recipients, "recipient", nil, "make no backup unless this is one of the backup_recipients; may be given several times")
	flags.BoolVar(&f.wait, "wait", false, "while another backup of this host is being made, wait for its end")
	flags.BoolVar(&f.pathOnly, "path-only", false, "print the path of the backup alone: of the copy, if there is one")
}

func (f *createFlags) check() error {
	switch {
	case f.keep != 0 && f.copyTo == "":
		return usagef("--keep is of the directory of --copy-to; how many are kept in backup_directory say backup_keep_hourly, backup_keep_daily and backup_keep_weekly")
	case f.keep < 0:
		return usagef("--keep: %d is no number of backups", f.keep)
	}
	return absolute(&f.copyTo)
}

// copyTarget is where a copy goes, which can be written to now; nil where there is none. What would be found out after the backup was made is
// told before.
func (a *app) copyTarget(c *config.Config, f createFlags) ([]backup.Target, error) {
	if f.copyTo == "" {
		return nil, nil
	}
	targets, err := backup.ParseTargets([]string{(&url.URL{Scheme: "file", Path: f.copyTo}).String()})
	if wrong, ok := errors.AsType[*backup.TargetsError](err); ok {
		return nil, usagef("--copy-to %s", strings.TrimPrefix(wrong.Faults[0].Problem, "value 1 of 1 "))
	} else if err != nil {
		return nil, err
	}
	err = targets[0].Check(a.cmd.Context(), c.BackupDirectory)
	if wrong, ok := errors.AsType[*backup.TargetError](err); ok {
		return nil, &host.HintedError{Err: fmt.Errorf("--copy-to: %v", err), Hint: wrong.Remedy} // not that this user may not run the command
	}
	return targets, err
}

// copyNew copies a backup that was just made, and returns where the last of it lies.
func (a *app) copyNew(c *config.Config, r backup.Receipt, to []backup.Target, f createFlags) (file string, err error) {
	if to == nil {
		return backup.File(c.BackupDirectory, r.Name), nil
	}
	o := a.shipOptions(c, to)
	o.Only, o.Wait, o.Retention = r.Name, true, backup.Retention{Newest: f.keep}
	deliveries, err := backup.Ship(a.cmd.Context(), o)
	for _, d := range deliveries {
		for _, name := range d.Removed {
			a.say("removed %s from %s", name, f.copyTo)
		}
	}
	if err != nil {
		return "", fmt.Errorf("the backup %s was made, in %s, and was not copied: %w", r.Name, c.BackupDirectory, err)
	}
	file = backup.File(f.copyTo, r.Name)
	a.say("copied to %s", file)
	return file, nil
}

// namesRecipients refuses a name that none of those has who can read the backups.
func namesRecipients(r backup.Recipients, names []string) error {
	for _, name := range names {
		if !r.Named(name, time.Now()) {
			return &host.HintedError{Err: fmt.Errorf("%q is none of the backup_recipients, who alone can read the backups of this host", name),
				Hint: "put it into backup_recipients in keytrustee.yaml of both hosts, or name one that is there; an OpenPGP key by its fingerprint or a mail address of it"}
		}
	}
	return nil
}
