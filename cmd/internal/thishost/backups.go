package thishost

import (
	"errors"
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
	if _, err := backup.ParseRecipients(c.BackupRecipients); err == nil {
		b.Recipients = len(c.BackupRecipients)
	} else if len(c.BackupRecipients) > 0 {
		troubles = append(troubles, err)
	}
	schedule, err := Schedule(c)
	b.Schedule = schedule.String()
	troubles = append(troubles, err)
	catalog, err := backup.List(c.BackupDirectory)
	troubles = append(troubles, err)
	if r, found := backup.Newest(catalog.Backups, now); found {
		b.Newest, b.Name = r.Manifest.Started, r.Name
	}
	last, err := backup.LoadAttempt(From(c).BackupAttempt())
	troubles = append(troubles, err)
	b.Tried, b.Ended, b.Failure, b.Remedy = last.Started, last.Ended, last.Error, last.Hint
	if err := errors.Join(troubles...); err != nil {
		b.Trouble = err.Error()
	}
	b.Late = Late(schedule, b.Newest)
	return b, schedule
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
