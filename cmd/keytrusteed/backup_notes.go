package main

import (
	"time"

	"keytrustee/host"
	"keytrustee/kms/audit"
	"keytrustee/replication"
)

// backupNotes is what the audit log has of backups so far.
type backupNotes struct {
	looked bool
	ended  time.Time // when the last attempt ended that is known
	wrong  bool
}

// of returns what is new in k: an attempt that has ended, whoever made it, and that the pair's backups are no longer in order, or are
// again. What ended before this daemon started is old; that something is wrong is told by each. certain: k knows of both hosts.
func (b *backupNotes) of(k replication.Backups, certain bool, now time.Time) (notices []audit.Notice) {
	add := func(state, text string, grave bool, fields ...audit.Field) {
		fields = append([]audit.Field{{Name: "state", Value: state}}, fields...)
		notices = append(notices, audit.Notice{At: now, Kind: "backup", Text: text, Grave: grave, Fields: fields})
	}
	if !k.Ended.IsZero() && !k.Ended.Equal(b.ended) && b.looked {
		if since := (audit.Field{Name: "since", Value: moment(k.Tried)}); k.Failure != "" {
			add("failed", k.Failure, true, since)
		} else {
			add("made", "", false, audit.Field{Name: "backup", Value: k.Name}, since)
		}
	}
	b.looked, b.ended = true, k.Ended
	what, _ := host.BackupTrouble(k, now)
	switch {
	case what != "" && !b.wrong && certain && !k.Running: // one that is being made may end it
		add("alarm", what, true)
		b.wrong = true
	case what == "" && b.wrong:
		add("in_order", "", false)
		b.wrong = false
	}
	return notices
}
