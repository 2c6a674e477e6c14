package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"keytrustee/host"
	"keytrustee/replication"
)

// TestStatusSaysFirst: the first line says whether writes are taken and since when; the next ones why not, and what is read.
func TestStatusSaysFirst(t *testing.T) {
	at := time.Date(2026, 11, 24, 1, 0, 0, 0, time.UTC)
	later := at.Add(2 * time.Hour)
	shut := replication.Decision{Reason: replication.PassiveNotStreaming}
	report := func(duty replication.Duty, d replication.Decision) *replication.Report {
		r := &replication.Report{Status: replication.Status{Duty: duty, PeerName: "kt0x"}, Decision: d, Since: at, Turned: at, PeerAnswers: true,
			Reads: replication.Reads{Served: replication.Everything}}
		if d.Reason != "" {
			r.Sentence = "because"
		}
		return r
	}
	with := func(r *replication.Report, edit func(*replication.Report)) *replication.Report { edit(r); return r }
	active, passive := &replication.State{Duty: replication.Active}, &replication.State{Duty: replication.Passive}
	down := fmt.Errorf("%w: nobody listens", host.ErrDaemonDown)
	restore := &host.Journal{Operation: "restore", Step: "initial sync", Address: "10.0.0.2:11372"}
	for _, row := range []struct {
		name   string
		status host.Status
		down   error
		want   []string // the first rows
	}{
		{"open", host.Status{State: active, Report: report(replication.Active, replication.Decision{Open: true})}, nil,
			[]string{"writes: open since 2026-11-24 01:00:00 UTC", "reads: served", "node: "}},
		{"shut, and nothing is read for the same reason", host.Status{State: active, Report: with(report(replication.Active, replication.Decision{Reason: replication.Fenced}), func(r *replication.Report) {
			r.Reads = replication.Reads{Served: replication.Nothing, Reason: replication.Fenced, Sentence: "again"}
		})}, nil, []string{"writes: CLOSED since 2026-11-24 01:00:00 UTC: fenced", ": because", "reads: REFUSED at this host", "node: "}},
		{"shut", host.Status{State: active, Report: report(replication.Active, shut)}, nil,
			[]string{"writes: CLOSED since 2026-11-24 01:00:00 UTC: passive_not_streaming", ": because", "reads: served"}},
		{"shut, by another reason at first", host.Status{State: active, Report: with(report(replication.Active, shut), func(r *replication.Report) { r.Since = later })}, nil,
			[]string{"writes: CLOSED since 2026-11-24 01:00:00 UTC: now passive_not_streaming, since 2026-11-24 03:00:00 UTC", ": because"}},
		{"nothing is read", host.Status{State: active, Report: with(report(replication.Active, shut), func(r *replication.Report) {
			r.Reads = replication.Reads{Served: replication.Nothing, Sentence: "its data is older"}
		})}, nil, []string{"writes: CLOSED since 2026-11-24 01:00:00 UTC: passive_not_streaming", ": because", "reads: REFUSED at this host", ": its data is older"}},
		{"passive, open", host.Status{State: passive, Report: with(report(replication.Passive, replication.Decision{}), func(r *replication.Report) {
			r.ActiveGate = &replication.GateReport{Open: true, Since: later}
		})}, nil, []string{"writes: open at the active (kt0x) since 2026-11-24 03:00:00 UTC", "reads: served"}},
		{"passive, shut", host.Status{State: passive, Report: with(report(replication.Passive, replication.Decision{Reason: replication.Starting}), func(r *replication.Report) {
			r.ActiveGate = &replication.GateReport{Reason: replication.DiskLow, Since: later, Sentence: "the active's words"}
			r.Reads.Served = replication.Known
		})}, nil, []string{"writes: CLOSED at the active (kt0x) since 2026-11-24 03:00:00 UTC: disk_low", ": the active's words", "reads: known keys are served"}},
		{"passive, the active is gone", host.Status{State: passive, Report: with(report(replication.Passive, replication.Decision{Reason: replication.ActiveUnreachable}), func(r *replication.Report) {
			r.ActiveGate, r.PeerAnswers = &replication.GateReport{Open: true, Since: at}, false
		})}, nil, []string{"writes: CLOSED since 2026-11-24 01:00:00 UTC: active_unreachable", ": because", "reads: served"}},
		{"passive, the active's daemon stands still and its database does not", host.Status{State: passive, Report: with(report(replication.Passive, replication.Decision{}), func(r *replication.Report) {
			r.ActiveGate, r.PeerAnswers, r.PeerHeard = &replication.GateReport{Open: true, Since: at}, false, later
		})}, nil, []string{"writes: CLOSED since 2026-11-24 03:00:00 UTC: active_unreachable", ": keytrusteed on kt0x, the active, does not answer, though its database does. Start keytrusteed on kt0x; if it runs, restart it"}},
		{"no daemon", host.Status{State: active}, down, []string{"writes: CLOSED: keytrusteed does not run on this host: nobody listens", "node: "}},
		{"no daemon, fenced", host.Status{State: &replication.State{Fenced: &replication.Fence{Reason: replication.EpochConflict, Detail: "older", Since: at}}}, down,
			[]string{"writes: CLOSED since 2026-11-24 01:00:00 UTC: this host is fenced, and keytrusteed does not run", ": epoch_conflict: older. Start nothing yet. Find out which of them is current: ktadmin status on both hosts; see docs/runbook/"}},
		{"no pair", host.Status{}, down, []string{"writes: CLOSED: this host is of no pair yet", ": If it was of a pair: docs/runbook/restore-from-passive.md", "node: "}},
		{"no pair, an init that broke off", host.Status{Journal: &host.Journal{Operation: "init"}}, down, []string{"writes: CLOSED: this host is of no pair yet", ": If it was of a pair"}},
		{"a restore that broke off on a bare host", host.Status{Journal: restore}, down,
			[]string{`writes: CLOSED: restore has not ended on this host: it has come to "initial sync", and keytrusteed does not run`, ": If it broke off, repeat", "node: "}},
		{"a restore that broke off beside old data", host.Status{State: active, Journal: restore}, down,
			[]string{"writes: CLOSED: restore has not ended on this host", ": If it broke off, repeat the command that began it: ktadmin restore --from-survivor 10.0.0.2 --token-file FILE ", "node: "}},
		{"a re-clone that broke off on a fenced host", host.Status{State: &replication.State{Fenced: &replication.Fence{Reason: replication.Fenced}}, Journal: &host.Journal{Operation: "re-clone"}}, down,
			[]string{"writes: CLOSED: re-clone has not ended on this host", ": If it broke off, repeat the command that began it: ktadmin init-slave --reclone; or end it: ktadmin init-slave --abort", "node: "}},
	} {
		rows := statusRows(row.status, row.down)
		for i, want := range row.want {
			if got := rows[i].name + ": " + rows[i].value; !strings.HasPrefix(got, want) {
				t.Errorf("%s: row %d is %q, want %q", row.name, i, got, want)
			}
		}
		want := exitOK
		if row.down != nil && (row.status.State != nil || row.status.Journal != nil && row.status.Journal.Operation != "init") {
			want = exitNobody
		}
		if got := exitStatus(statusError(row.status, row.down)); got != want {
			t.Errorf("%s: exit status %d, want %d", row.name, got, want)
		}
	}
}

// TestStatusOfDaemonThatIsStuck has a row of its own in the table of exit statuses.
func TestStatusOfDaemonThatIsStuck(t *testing.T) {
	err := &host.HintedError{Err: fmt.Errorf("%w within 3s", host.ErrDaemonStuck), Hint: "look"}
	if got := exitStatus(err); got != exitNobody || !errors.Is(err, host.ErrDaemonStuck) {
		t.Errorf("exit status %d, want %d", got, exitNobody)
	}
}

// TestBackupRows: the status says when the newest backup was begun and on which host, or what is wrong and what to do.
func TestBackupRows(t *testing.T) {
	now := time.Date(2026, 11, 29, 15, 30, 0, 0, time.UTC)
	at := func(hour int) time.Time { return time.Date(2026, 11, 29, hour, 0, 0, 0, time.UTC) }
	good := replication.Backups{Recipients: 2, Schedule: "0 * * * *", Newest: at(15), Name: "kt-kt01-e1-20261129T150000Z", Late: at(17), Part: "this host, which has no passive", Mine: true,
		Due: at(16), Tried: at(15), Ended: at(15), Directory: "/srv/backups"}
	with := func(edit func(*replication.Backups)) *replication.Backups { b := good; edit(&b); return &b }
	for _, row := range []struct {
		name string
		b    *replication.Backups
		want []string // the rows of status, then those of backup schedule
	}{
		{"not known", nil, nil},
		{"in order", &good, []string{"backups: the newest was begun at 2026-11-29 15:00:00 UTC, on this host",
			"schedule: 0 * * * *, in UTC", "made by: this host, which has no passive", "next: 2026-11-29 16:00:00 UTC", "newest: kt-kt01-e1-20261129T150000Z, begun at 2026-11-29 15:00:00 UTC, 30m0s ago",
			"last try: at 2026-11-29 15:00:00 UTC, which succeeded", "directory: /srv/backups", "recipients: 2"}},
		{"a recipient expires", with(func(b *replication.Backups) { b.Expires, b.Expiring = now.Add(29*24*time.Hour), "openpgp:AA" }),
			[]string{"backups: the newest was begun at 2026-11-29 15:00:00 UTC, on this host", ": openpgp:AA of backup_recipients expires in 29 days, at 2026-12-28 15:30:00 UTC, and from then on no backup is made",
				": Have its owner let it live longer", "schedule: 0 * * * *, in UTC"}},
		{"a recipient expires later", with(func(b *replication.Backups) { b.Expires, b.Expiring = now.Add(30*24*time.Hour), "openpgp:AA" }),
			[]string{"backups: the newest was begun at 2026-11-29 15:00:00 UTC, on this host", "schedule: 0 * * * *, in UTC"}},
		{"the other host has it", with(func(b *replication.Backups) {
			b.Newest, b.Name, b.Other, b.Tried, b.Ended = time.Time{}, "", at(15), time.Time{}, time.Time{}
		}), []string{"backups: the newest was begun at 2026-11-29 15:00:00 UTC, on the other host, by its word", "schedule: 0 * * * *, in UTC", "made by: this host, which has no passive", "next: 2026-11-29 16:00:00 UTC",
			"newest: none on this host", ": of the other host begun at 2026-11-29 15:00:00 UTC, as that said last", "last try: none on this host", "directory: /srv/backups", "recipients: 2"}},
		{"it has failed since", with(func(b *replication.Backups) { b.Tried, b.Failure, b.Remedy = now, "no room", "free some" }),
			[]string{"backups: the newest was begun at 2026-11-29 15:00:00 UTC, on this host", ": the attempt at 2026-11-29 15:30:00 UTC failed: no room",
				"schedule: 0 * * * *, in UTC", "made by: this host, which has no passive", "next: 2026-11-29 16:00:00 UTC", "newest: kt-kt01-e1-20261129T150000Z, begun at 2026-11-29 15:00:00 UTC, 30m0s ago",
				"last try: at 2026-11-29 15:30:00 UTC, which FAILED: no room", ": free some", "directory: /srv/backups", "recipients: 2"}},
		{"late, by its files", with(func(b *replication.Backups) {
			b.Newest, b.Late, b.Part, b.Due, b.Running, b.Tried = at(12), at(14), "", at(13), false, at(13)
		}), []string{"backups: NOT IN ORDER: the newest verified backup was begun 3h30m0s ago, at 2026-11-29 12:00:00 UTC (only this host's directory was looked at)", ": ktadmin backup schedule says",
			"schedule: 0 * * * *, in UTC", "made by: ", "next: is due since 2026-11-29 13:00:00 UTC", "newest: kt-kt01-e1-20261129T150000Z, begun at 2026-11-29 12:00:00 UTC, 3h30m0s ago",
			"last try: at 2026-11-29 13:00:00 UTC, which has not ended, or was killed", "directory: /srv/backups", "recipients: 2"}},
		{"nobody could read it", with(func(b *replication.Backups) { b.Recipients, b.Due = 0, time.Time{} }), []string{"backups: NOT IN ORDER: nobody could read a backup, so none is made", ": Give at least two",
			"schedule: 0 * * * *, in UTC", "made by: this host", "next: never: backup_recipients names nobody who could read it"}},
		{"off, one runs, and the settings are wrong", with(func(b *replication.Backups) {
			b.Schedule, b.Due, b.Running, b.Trouble = "off", time.Time{}, true, "wrong"
		}),
			[]string{"backups: NOT IN ORDER: wrong", ": Put it right", "schedule: off: keytrusteed makes no backup; a timer or cron may", "made by: this host", "next: is being made now", "newest: kt-kt01", "last try: at 2026-11-29 15:00:00 UTC, which succeeded",
				"directory: /srv/backups", "recipients: 2", "trouble: wrong"}},
	} {
		rows := backupRows(row.b, now)
		if row.b != nil {
			rows = append(rows, scheduleRows(*row.b, now)...)
		}
		for i, want := range row.want {
			if i >= len(rows) {
				t.Fatalf("%s: %d rows: %v", row.name, len(rows), rows)
			}
			if got := rows[i].name + ": " + rows[i].value; !strings.HasPrefix(got, want) {
				t.Errorf("%s: row %d is %q, want %q", row.name, i, got, want)
			}
		}
	}
}
