package thishost

import (
	"errors"
	"slices"
	"time"

	"keytrustee/backup"
	"keytrustee/internal/config"
	"keytrustee/replication"
)

// Backups is how it stands with the backups of the host, as its settings and its files say: what only a daemon knows is left out. It
// reads the directory of the backups, which may take as long as its disk does.
func Backups(c *config.Config, now time.Time) (replication.Backups, backup.Schedule) {
	b := replication.Backups{Directory: c.BackupDirectory}
	var troubles []error
	if r, err := Recipients(c, now); err == nil {
		b.Recipients, b.Expires, b.Expiring = len(c.BackupRecipients), r.Expires, r.Expiring
	} else if len(c.BackupRecipients) > 0 {
		troubles = append(troubles, err)
	}
	schedule, err := Schedule(c)
	b.Schedule = schedule.String()
	troubles = append(troubles, err)
	catalog, err := backup.List(c.BackupDirectory)
	troubles = append(troubles, err)
	own := slices.DeleteFunc(slices.Clone(catalog.Backups), func(r backup.Receipt) bool { // another host may share the directory
		return r.Manifest.Host != c.Name || r.Manifest.Cluster != c.ClusterID
	})
	if r, found := backup.Newest(own, now); found {
		b.Newest, b.Name = r.Manifest.Started, r.Name
	}
	b.Targets, b.TargetTrouble = targets(c, catalog.Backups, schedule, now)
	last, err := backup.LoadAttempt(From(c).BackupAttempt())
	troubles = append(troubles, err)
	b.Tried, b.Ended, b.Failure, b.Remedy = last.Started, last.Ended, last.Error, last.Hint
	if err := errors.Join(troubles...); err != nil {
		b.Trouble = err.Error()
	}
	b.Late = Late(schedule, b.Newest)
	return b, schedule
}

// targets is what each target has confirmed, and what is wrong with the settings. A memory of that which can not be read is none: it is
// asked for again when something is sent.
func targets(c *config.Config, made []backup.Receipt, s backup.Schedule, now time.Time) (all []replication.BackupTarget, trouble string) {
	parsed, err := backup.ParseTargets(c.BackupTargets)
	if err != nil {
		return nil, "backup_targets: " + err.Error()
	}
	shipped, _ := backup.LoadShipped(c.BackupDirectory)
	for _, p := range parsed {
		t := replication.BackupTarget{Target: p.String()}
		var has []backup.Receipt
		for _, r := range made {
			if shipped.Has(t.Target, r) {
				has = append(has, r)
			}
		}
		if newest, found := backup.Newest(has, now); found {
			t.Newest = newest.Manifest.Started
			t.Late = ShippedLate(s, t.Newest)
		}
		all = append(all, t)
	}
	return all, ""
}

// Recipients are who can read the backups of this host. What is wrong with them is wrong with the configuration.
func Recipients(c *config.Config, now time.Time) (backup.Recipients, error) {
	r, err := backup.ParseRecipients(c.BackupRecipients, c.BackupOpenPGPKeys, now)
	wrong, ok := errors.AsType[*backup.RecipientsError](err)
	if !ok {
		return r, err
	}
	invalid := new(config.InvalidError)
	for _, f := range wrong.Faults {
		field := "backup_recipients"
		if f.KeyFile {
			field = "backup_openpgp_keys"
		}
		invalid.Faults = append(invalid.Faults, config.Fault{Field: field, Problem: f.Problem, Remedy: f.Remedy})
	}
	return r, invalid
}

// Schedule is when the daemon makes backups. What is wrong with it is wrong with the configuration.
func Schedule(c *config.Config) (backup.Schedule, error) {
	s, err := backup.ParseSchedule(c.BackupSchedule)
	if wrong, ok := errors.AsType[*backup.ScheduleError](err); ok {
		return s, &config.InvalidError{Faults: []config.Fault{{Field: "backup_schedule", Problem: wrong.Problem, Remedy: wrong.Remedy}}}
	}
	return s, err
}

// A backup is late an hour after the next one was wanted, and never before it is two hours old.
const (
	oldBackup   = 2 * time.Hour
	lateByHours = time.Hour
	lateToShip  = time.Hour // a target may be down for a while, and the next backup is sent when it is made
)

// Late is from when on a backup is too old that was begun at newest; zero, if there is none.
func Late(s backup.Schedule, newest time.Time) time.Time {
	if newest.IsZero() {
		return newest
	}
	late := newest.Add(oldBackup)
	if next := s.Next(newest); !next.IsZero() && next.Add(lateByHours).After(late) {
		return next.Add(lateByHours)
	}
	return late
}

// ShippedLate is from when on it is too long ago that a target got a backup, of which the newest was begun at newest; zero, if there is none.
func ShippedLate(s backup.Schedule, newest time.Time) time.Time {
	if newest.IsZero() {
		return newest
	}
	return Late(s, newest).Add(lateToShip)
}
