package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keytrustee/backup"
	"keytrustee/host"
	"keytrustee/postgres/pgtest"
	"keytrustee/replication"
)

// TestOtherHost: a backup says how its host stood to the other one, and who restores it is warned where that may have more.
func TestOtherHost(t *testing.T) {
	now := time.Date(2026, 11, 29, 15, 0, 0, 0, time.UTC)
	heard := now.Add(-time.Hour)
	report := func(duty replication.Duty, change func(*replication.Report)) *replication.Report {
		r := &replication.Report{Status: replication.Status{Duty: duty}}
		change(r)
		return r
	}
	open := &replication.GateReport{Open: true}
	paired := &replication.State{Self: "kt01", Peer: &replication.Peer{Name: "kt02"}}
	for name, row := range map[string]struct {
		state  *replication.State
		report *replication.Report
		want   backup.Other
		warns  string // empty: nobody
	}{
		"alone":                {&replication.State{Self: "kt01"}, report(replication.Active, func(*replication.Report) {}), backup.Other{State: backup.OtherNone}, ""},
		"no daemon":            {paired, nil, backup.Other{Name: "kt02", State: backup.OtherUnknown}, "it is not known whether kt01 heard the other host"},
		"an open active":       {paired, report(replication.Active, func(r *replication.Report) { r.Open, r.PeerAnswers, r.PeerHeard = true, true, heard }), backup.Other{Name: "kt02", State: backup.OtherConfirmed, Heard: now}, ""},
		"a closed active":      {paired, report(replication.Active, func(r *replication.Report) { r.PeerAnswers, r.PeerHeard = true, heard }), backup.Other{Name: "kt02", State: backup.OtherUnconfirmed, Heard: heard}, "kt01 heard kt02 when the backup was made, and the two were not confirmed"},
		"an active in silence": {paired, report(replication.Active, func(r *replication.Report) { r.PeerHeard = heard }), backup.Other{Name: "kt02", State: backup.OtherSilent, Heard: heard}, "kt01 did not hear kt02 when the backup was made, since 2026-11-29 14:00:00 UTC"},
		"one that began so":    {paired, report(replication.Active, func(*replication.Report) {}), backup.Other{Name: "kt02", State: backup.OtherSilent}, "since keytrusteed was started"},
		"a confirmed passive":  {paired, report(replication.Passive, func(r *replication.Report) { r.PeerAnswers, r.PeerHeard, r.ActiveGate = true, heard, open }), backup.Other{Name: "kt02", State: backup.OtherConfirmed, Heard: now}, ""},
		"a passive, shut out": {paired, report(replication.Passive, func(r *replication.Report) {
			r.PeerAnswers, r.PeerHeard, r.ActiveGate = true, heard, new(replication.GateReport)
		}), backup.Other{Name: "kt02", State: backup.OtherUnconfirmed, Heard: heard}, "not confirmed"},
		"a passive with a doubt": {paired, report(replication.Passive, func(r *replication.Report) {
			r.PeerAnswers, r.PeerHeard, r.ActiveGate, r.Reason = true, heard, open, replication.Starting
		}), backup.Other{Name: "kt02", State: backup.OtherUnconfirmed, Heard: heard}, "not confirmed"},
		"a passive in silence": {paired, report(replication.Passive, func(r *replication.Report) { r.PeerHeard, r.ActiveGate = heard, open }), backup.Other{Name: "kt02", State: backup.OtherSilent, Heard: heard}, "did not hear kt02"},
	} {
		got := otherHost(host.Status{State: row.state, Report: row.report}, now)
		if got != row.want {
			t.Errorf("%s: %+v, want %+v", name, got, row.want)
		}
		w := otherWarning(backup.Manifest{Facts: backup.Facts{Host: "kt01", Other: got}})
		if (w == "") != (row.warns == "") || !strings.Contains(w, row.warns) {
			t.Errorf("%s: %q, want %q", name, w, row.warns)
		}
		if otherWords(got) == "" || otherColumn(got) == "" {
			t.Errorf("%s: %q, %q", name, otherWords(got), otherColumn(got))
		}
	}
	if w := otherWarning(backup.Manifest{}); !strings.Contains(w, "not known") {
		t.Errorf("of a backup that does not tell: %q", w)
	}
}

// TestBackupOfAFencedHost: a fenced host makes none; what it made before stands in the list before all of a later epoch, whatever the
// clocks were.
func TestBackupOfAFencedHost(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	b := newBackupHost(t)
	var r backup.Receipt
	decode(t, b.must("backup", "create", "-o", "json"), &r)
	if r.Manifest.Other.State != backup.OtherNone {
		t.Errorf("of a host that is alone: %+v", r.Manifest.Other)
	}
	old := r
	old.Name, old.Manifest.Epoch, old.Manifest.Started = "kt-kt01-e0-20260101T000000Z", 0, r.Manifest.Started.Add(time.Minute)
	old.Manifest.Other = backup.Other{Name: "kt02", State: backup.OtherSilent, Heard: r.Manifest.Started}
	text, err := json.Marshal(old)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{os.Link(backup.File(b.BackupDirectory, r.Name), backup.File(b.BackupDirectory, old.Name)),
		os.WriteFile(filepath.Join(b.BackupDirectory, old.Name+".json"), text, 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var list inventory
	decode(t, b.must("backup", "list", "-o", "json"), &list)
	if len(list.Backups) != 2 || list.Backups[0].Name != old.Name {
		t.Errorf("listed are %+v", list.Backups)
	}
	if out := b.must("backup", "list"); !strings.Contains(out, "SILENT since "+stamp(r.Manifest.Started)) {
		t.Errorf("list: %s", out)
	}
	if out := b.must("backup", "show", old.Name); !strings.Contains(out, "kt02, NOT HEARD since "+stamp(r.Manifest.Started)) {
		t.Errorf("show: %s", out)
	}

	state, err := replication.OpenState(b.host.StateFile())
	if err != nil {
		t.Fatal(err)
	}
	if err := state.Update(func(s *replication.State) error {
		s.Fenced = &replication.Fence{Reason: replication.EpochConflict, Since: time.Now()}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	_, stderr, status := b.ktadmin("backup", "create")
	if status != exitRefused || !strings.Contains(stderr, "this host is fenced (epoch_conflict): a backup of it would pass for one of the pair") || !strings.Contains(stderr, "\nhint: ") {
		t.Errorf("fenced: %d, %s", status, stderr)
	}
	decode(t, b.must("backup", "list", "-o", "json"), &list)
	if len(list.Backups) != 2 {
		t.Errorf("listed are %+v", list.Backups)
	}
}
