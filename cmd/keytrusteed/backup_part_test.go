package main

import (
	"strings"
	"testing"
	"time"

	"keytrustee/replication"
)

// TestBackupPart: which of two hosts makes a backup. Of those that hear each other it is never both, and never neither for longer than
// takeover.
func TestBackupPart(t *testing.T) {
	now := time.Date(2026, 11, 29, 15, 0, 0, 0, time.UTC)
	long, just, fresh := now.Add(-takeover), now.Add(-takeover+time.Second), now.Add(time.Hour)
	active := func(open bool, turned time.Time) replication.Report {
		r := replication.Report{Status: replication.Status{Duty: replication.Active, PeerName: "kt02"}, Turned: turned, PeerAnswers: true, PeerHeard: now,
			Reads: replication.Reads{Served: replication.Everything}}
		if r.Open = open; !open {
			r.Reason = replication.PassiveNotStreaming
		}
		return r
	}
	passive := func(of replication.Report) replication.Report {
		return replication.Report{Status: replication.Status{Duty: replication.Passive, PeerName: "kt01"}, PeerAnswers: true, PeerHeard: now, Turned: long,
			ActiveGate: &replication.GateReport{Open: of.Open, Reason: of.Reason}, Reads: replication.Reads{Served: replication.Everything}}
	}
	with := func(r replication.Report, edit func(*replication.Report)) replication.Report { edit(&r); return r }
	away := func(since time.Time) func(*replication.Report) {
		return func(r *replication.Report) { r.PeerAnswers, r.PeerHeard = false, since }
	}
	for _, row := range []struct {
		name   string
		report replication.Report
		mine   bool
		part   string
	}{
		{"the active of a whole pair", active(true, long), false, "kt02, the passive, which is confirmed"},
		{"its passive", passive(active(true, long)), true, "this host, the passive, which is confirmed"},
		{"an active alone", with(active(false, long), func(r *replication.Report) { r.PeerName = "" }), true, "this host, which has no passive"},
		{"an active that has just lost its passive", active(false, just), false, "kt02, the passive; this host from 15:00:01 UTC on"},
		{"a passive that is not confirmed just now", passive(active(false, just)), false, "kt01, the active"},
		{"an active that lost its passive a while ago", active(false, long), true, "this host, for kt02, its passive, does not count as confirmed while writes are refused (passive_not_streaming)"},
		{"an active that was told to hold", with(active(false, long), func(r *replication.Report) { r.Reason = replication.OperatorHold }), true, "while writes are refused (operator_hold)"},
		{"a passive that is not confirmed", passive(active(false, long)), false, "kt01, the active, for this host does not count as confirmed while writes are refused (passive_not_streaming)"},
		{"a passive that has not heard how it stands", with(passive(active(true, long)), func(r *replication.Report) { r.ActiveGate = nil }), false, "kt01, the active, which has not said yet"},
		{"a passive that knows something against itself", with(passive(active(true, long)), func(r *replication.Report) { r.Reason = replication.Joining }), false, "kt01, the active, for this host is not confirmed (joining)"},
		{"a copy that is not whole", with(passive(active(true, long)), func(r *replication.Report) { r.Reads.Served = replication.Nothing }), false, "not this host"},
		{"a passive whose active is silent", with(passive(active(true, long)), away(just)), false, "kt01, the active; this host from"},
		{"a passive whose active has been silent", with(passive(active(true, long)), away(long)), true, "this host, for kt01, the active, is not heard"},
		{"a passive that has just started beside a dead active", with(passive(active(true, long)), func(r *replication.Report) { away(time.Time{})(r); r.ActiveGate = nil }), true, "is not heard"},
		{"a fenced active", with(active(false, long), func(r *replication.Report) { r.Fenced = &replication.Fence{} }), false, "fenced"},
		{"a fenced passive", with(passive(active(true, long)), func(r *replication.Report) { r.Fenced = &replication.Fence{} }), false, "fenced"},
	} {
		mine, part := backupPart(row.report, long, fresh, now)
		if mine != row.mine || !strings.Contains(part, row.part) {
			t.Errorf("%s: %t, %s", row.name, mine, part)
		}
	}
	if mine, _ := backupPart(with(passive(active(true, long)), away(time.Time{})), just, fresh, now); mine {
		t.Error("a passive does not wait for an active that it has not heard since it started")
	}
	for _, a := range []replication.Report{active(true, long), active(false, just), active(false, long)} {
		first, _ := backupPart(a, long, fresh, now)
		second, _ := backupPart(passive(a), long, fresh, now)
		if first && second || !first && !second && now.Sub(a.Turned) >= takeover {
			t.Errorf("open %t since %v: the active %t, the passive %t", a.Open, a.Turned, first, second)
		}
	}

	whole := active(true, long)
	for _, row := range []struct {
		name             string
		turned, up, late time.Time
		mine             bool
	}{
		{"it is not late", long, long, now, false},
		{"it is late just now", long, long, just, false},
		{"it has been late for a while", long, long, long, true},
		{"the passive has just been confirmed", just, long, long, false},
		{"the pair has just come up", long, just, long, false},
	} {
		whole.Turned = row.turned
		mine, part := backupPart(whole, row.up, row.late, now)
		if mine != row.mine || mine != strings.Contains(part, "has made none in time") {
			t.Errorf("an active whose confirmed passive makes none, %s: %t, %s", row.name, mine, part)
		}
		if mine, _ := backupPart(passive(whole), row.up, row.late, now); !mine {
			t.Errorf("%s: its passive makes none", row.name)
		}
	}
}
