package host

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"keytrustee/replication"
)

// TestBackupTrouble: the newest backup of both hosts counts, and what is wrong comes with why, and with what to do.
func TestBackupTrouble(t *testing.T) {
	now := time.Date(2026, 11, 29, 15, 0, 0, 0, time.UTC)
	old, fresh := now.Add(-3*time.Hour), now.Add(-time.Hour)
	good := replication.Backups{Recipients: 2, Schedule: "0 * * * *", Newest: fresh, Late: fresh.Add(2 * time.Hour)}
	with := func(edit func(*replication.Backups)) replication.Backups { b := good; edit(&b); return b }
	late := with(func(b *replication.Backups) { b.Newest, b.Late = old, old.Add(2*time.Hour) })
	for _, row := range []struct {
		name     string
		b        replication.Backups
		what, do string // how they begin
	}{
		{"in order", good, "", ""},
		{"the other host has it", with(func(b *replication.Backups) { b.Newest, b.Other = time.Time{}, fresh }), "", ""},
		{"it failed since, and is not late", with(func(b *replication.Backups) { b.Tried, b.Failure = now, "no room" }), "", ""},
		{"nobody could read it", with(func(b *replication.Backups) { b.Recipients = 0 }), noRecipients, "Give at least two backup_recipients"},
		{"nobody could read this host's", with(func(b *replication.Backups) { b.Recipients, b.Newest, b.Other = 0, time.Time{}, fresh }), "this host can make no backup, for nobody could read it: while the other host makes none, there is none", "Give at least two backup_recipients"},
		{"nobody could read this host's, and the other's is late", with(func(b *replication.Backups) { *b = late; b.Recipients, b.Newest, b.Other = 0, time.Time{}, old }), noRecipients, "Give at least two backup_recipients"},
		{"none", with(func(b *replication.Backups) { b.Newest, b.Late = time.Time{}, time.Time{} }), "there is no verified backup", "ktadmin backup schedule says"},
		{"late", late, "the newest verified backup was begun 3h0m0s ago, at 2026-11-29 12:00:00 UTC", "ktadmin backup schedule says"},
		{"late, for it fails", with(func(b *replication.Backups) { *b = late; b.Tried, b.Failure, b.Remedy = fresh, "no room", "free some" }),
			"the newest verified backup was begun 3h0m0s ago, at 2026-11-29 12:00:00 UTC; the attempt at 14:00:00 UTC failed: no room", "free some"},
		{"late, and it failed before", with(func(b *replication.Backups) { *b = late; b.Tried, b.Failure = old.Add(-time.Hour), "no room" }), "the newest verified backup was begun 3h0m0s ago, at 2026-11-29 12:00:00 UTC", ""},
		{"late, for nobody makes it", with(func(b *replication.Backups) { *b = late; b.Schedule = "off" }), "the newest verified backup was begun 3h0m0s ago, at 2026-11-29 12:00:00 UTC; backup_schedule is off", ""},
		{"off, and a timer makes them", with(func(b *replication.Backups) { b.Schedule = "off" }), "", ""},
		{"wrong settings", with(func(b *replication.Backups) { b.Trouble = "backup_schedule: wrong" }), "backup_schedule: wrong", "Put it right"},
		{"wrong recipients", with(func(b *replication.Backups) { b.Recipients, b.Trouble = 0, "backup_recipients: wrong" }), "backup_recipients: wrong", "Put it right"},
		{"a target is in order", with(func(b *replication.Backups) { b.Targets = targets(fresh) }), "", ""},
		{"a target has none", with(func(b *replication.Backups) { b.Targets = targets(fresh, time.Time{}) }), "file:///2 has confirmed no backup", "ktadmin backup ship, on the host"},
		{"targets lack some", with(func(b *replication.Backups) {
			b.Targets = targets(now.Add(-3*time.Hour), now.Add(-5*time.Hour), time.Time{})
		}),
			"the newest backup that file:///2 has confirmed was begun 5h0m0s ago, at 2026-11-29 10:00:00 UTC; file:///3 has confirmed no backup", "ktadmin backup ship, on the host"},
		{"the other host has sent them", with(func(b *replication.Backups) { b.Targets, b.OtherTargets = targets(time.Time{}), targets(fresh) }), "", ""},
		{"the other host has sent none for long", with(func(b *replication.Backups) {
			b.Targets, b.OtherTargets = targets(time.Time{}), targets(now.Add(-5*time.Hour))
		}),
			"the newest backup that file:///1 has confirmed was begun 5h0m0s ago, at 2026-11-29 10:00:00 UTC", "ktadmin backup ship, on the host"},
		{"a target is this host's alone", with(func(b *replication.Backups) {
			b.Targets, b.OtherTargets = targets(time.Time{}, time.Time{}), targets(fresh)
		}),
			"file:///2 has confirmed no backup", "ktadmin backup ship, on the host"},
		{"a target is the other host's alone", with(func(b *replication.Backups) { b.Targets, b.OtherTargets = targets(fresh), targets(fresh, time.Time{}) }), "", ""},
		{"targets that are none", with(func(b *replication.Backups) { b.TargetTrouble = "backup_targets: wrong" }), "backup_targets: wrong", "Put it right"},
		{"late, and a target lacks it", with(func(b *replication.Backups) { *b = late; b.Targets = targets(old) }), "the newest verified backup was begun 3h0m0s ago, at 2026-11-29 12:00:00 UTC", "ktadmin backup schedule says"},
		{"wrong settings, and late", with(func(b *replication.Backups) { *b = late; b.Trouble = "backup_schedule: wrong" }),
			"the newest verified backup was begun 3h0m0s ago, at 2026-11-29 12:00:00 UTC; backup_schedule: wrong", ""},
	} {
		what, do := BackupTrouble(row.b, now)
		if what != row.what || !strings.HasPrefix(do, row.do) || (what == "") != (do == "") {
			t.Errorf("%s: %q, %q", row.name, what, do)
		}
	}
}

// targets are as many that have what was begun then, and are late after three hours.
func targets(newest ...time.Time) (all []replication.BackupTarget) {
	for i, n := range newest {
		t := replication.BackupTarget{Target: fmt.Sprintf("file:///%d", i+1), Newest: n}
		if !n.IsZero() {
			t.Late = n.Add(3 * time.Hour)
		}
		all = append(all, t)
	}
	return all
}

// TestBackupProblemOfPair: a host's lack is no problem of a pair whose other host has what is wanted.
func TestBackupProblemOfPair(t *testing.T) {
	now := time.Date(2026, 11, 29, 15, 0, 0, 0, time.UTC)
	fresh := now.Add(-time.Hour)
	has := replication.Backups{Recipients: 2, Schedule: "0 * * * *", Newest: fresh, Late: fresh.Add(2 * time.Hour)}
	none := replication.Backups{Recipients: 2, Schedule: "0 * * * *"}
	old := replication.Backups{Recipients: 2, Schedule: "0 * * * *", Newest: now.Add(-5 * time.Hour), Late: now.Add(-3 * time.Hour), Tried: now, Failure: "no room"}
	unread := has
	unread.Recipients = 0
	sent, lacks := has, has
	sent.Targets, lacks.Targets = targets(fresh, time.Time{}), targets(time.Time{}, fresh)
	ends, endsLater := has, has
	ends.Expires, ends.Expiring = now.Add(13*24*time.Hour+time.Hour), "openpgp:AA"
	endsLater.Expires, endsLater.Expiring = now.Add(14*24*time.Hour+time.Hour), "openpgp:BB"
	for _, row := range []struct {
		name  string
		hosts []*replication.Backups
		want  string
	}{
		{"nothing is known", []*replication.Backups{nil, nil}, ""},
		{"of one nothing is known", []*replication.Backups{nil, &has}, ""},
		{"one has none", []*replication.Backups{&none, &has}, ""},
		{"one fails", []*replication.Backups{&old, &has}, ""},
		{"the other one", []*replication.Backups{&has, &old}, ""},
		{"both have none", []*replication.Backups{&none, &none}, "there is no verified backup"},
		{"both are late", []*replication.Backups{&none, &old}, "the newest verified backup was begun 5h0m0s ago, at 2026-11-29 10:00:00 UTC; the attempt at 15:00:00 UTC failed: kt02: no room"},
		{"a target has nothing of one", []*replication.Backups{&lacks, &has}, "file:///1 has confirmed no backup"},
		{"each target has something of one", []*replication.Backups{&lacks, &sent}, ""},
		{"one could make none", []*replication.Backups{&has, &unread}, "kt02 can make no backup, for nobody could read it: while the other host makes none, there is none"},
		{"neither could make one", []*replication.Backups{&unread, &unread}, noRecipients},
		{"a recipient expires", []*replication.Backups{&endsLater, &ends}, "openpgp:AA of backup_recipients expires in 13 days, at 2026-12-12 16:00:00 UTC, and from then on no backup is made"},
		{"a recipient expires later", []*replication.Backups{&has, &endsLater}, ""},
	} {
		c := Cluster{Updated: now, Nodes: []Node{{Name: "kt01", Backups: row.hosts[0]}, {Name: "kt02", Backups: row.hosts[1]}}}
		if got := backupProblem(c); row.want == "" && got != "" || row.want != "" && (!strings.HasPrefix(got, row.want+". ") || strings.HasSuffix(got, ".")) {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
	}
}
