package main

import (
	"fmt"
	"time"

	"keytrustee/cmd/internal/thishost"
	"keytrustee/host"
	"keytrustee/internal/config"
	"keytrustee/replication"
)

// backupsFor is how it stands with the backups for the status of this host: by its daemon's word, or by its files; nil: it is of no pair,
// or its daemon has just started.
func (a *app) backupsFor(c *config.Config, s host.Status) *replication.Backups {
	switch {
	case s.State == nil:
		return nil
	case s.Daemon:
		return known(s)
	}
	b, _ := thishost.Backups(c, time.Now())
	return &b
}

// backupRows is b for people: that there is a new one, or what is wrong and what to do, and what soon will be.
func backupRows(b *replication.Backups, now time.Time) []row {
	if b == nil {
		return nil
	}
	var expiring []row
	if what, do := host.BackupExpiring(*b, now, 30); what != "" {
		expiring = []row{{"", what}, {"", do}}
	}
	if what, do := host.BackupTrouble(*b, now); what != "" {
		if b.Part == "" {
			what += " (only this host's directory was looked at)"
		}
		return append([]row{{"backups", "NOT IN ORDER: " + what}, {"", do}}, expiring...)
	}
	newest, where := b.Newest, "this host"
	if b.Other.After(newest) {
		newest, where = b.Other, "the other host, by its word"
	}
	rows := []row{{"backups", fmt.Sprintf("the newest was begun at %s, on %s", stamp(newest), where)}}
	if b.Failure != "" && b.Tried.After(newest) {
		rows = append(rows, row{"", fmt.Sprintf("the attempt at %s failed: %s", stamp(b.Tried), b.Failure)})
	}
	return append(rows, expiring...)
}
