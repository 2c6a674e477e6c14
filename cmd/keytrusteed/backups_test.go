package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"

	"keytrustee/backup"
	"keytrustee/cmd/internal/thishost"
	"keytrustee/host"
	"keytrustee/internal/config"
	"keytrustee/kms/audit"
	"keytrustee/replication"
)

// testLog is a log that may be read while it is written.
type testLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *testLog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}

func (l *testLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// backupSite is a host's settings and its directory of backups.
type backupSite struct {
	*testing.T
	confdir string
	log     *testLog
	report  replication.Report
	notes   []audit.Notice

	recipients string // in keytrustee.yaml
}

func newBackupSite(t *testing.T) *backupSite {
	t.Helper()
	b := &backupSite{T: t, confdir: filepath.Join(t.TempDir(), ".keytrustee"), log: &testLog{}}
	var recipients []string
	for range 2 {
		identity, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		recipients = append(recipients, identity.Recipient().String())
	}
	b.recipients = "backup_recipients: [" + strings.Join(recipients, ", ") + "]\n"
	b.settings(b.recipients)
	b.report = replication.Report{Status: replication.Status{Duty: replication.Active}}
	return b
}

// settings writes both files.
func (b *backupSite) settings(more string) {
	b.Helper()
	for path, text := range map[string]string{
		filepath.Join(b.confdir, "keytrustee.yaml"):         "cluster_id: c1\n" + more,
		filepath.Join(b.confdir, "..", "node", "node.yaml"): "name: kt01\nexternal_address: kt01\n",
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			b.Fatal(err)
		}
	}
}

func (b *backupSite) config() *config.Config {
	b.Helper()
	c, err := config.Load(b.confdir)
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// lay puts a backup there.
func (b *backupSite) lay(started time.Time) {
	b.Helper()
	b.layOf("kt01", "c1", started)
}

func (b *backupSite) layOf(host, cluster string, started time.Time) {
	b.Helper()
	name := "kt-" + host + "-e1-" + started.UTC().Format("20060102T150405Z")
	dir := b.config().BackupDirectory
	text, err := json.Marshal(backup.Receipt{Format: backup.Format, Name: name, Size: 3, Manifest: backup.Manifest{Started: started, Facts: backup.Facts{Host: host, Cluster: cluster}}})
	if err := errors.Join(err, os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, name+".ktb"), []byte("ktb"), 0o600), os.WriteFile(filepath.Join(dir, name+".json"), text, 0o600)); err != nil {
		b.Fatal(err)
	}
}

// confirm notes that a target has the backups that were begun then.
func (b *backupSite) confirm(target string, started ...time.Time) {
	b.Helper()
	file := filepath.Join(b.config().BackupDirectory, "shipped.json")
	shipped, err := backup.LoadShipped(b.config().BackupDirectory)
	if err != nil {
		b.Fatal(err)
	}
	shipped[target] = map[string]backup.Confirmed{}
	for _, s := range started {
		shipped[target]["kt-kt01-e1-"+s.UTC().Format("20060102T150405Z")] = backup.Confirmed{At: s}
	}
	text, err := json.Marshal(shipped)
	if err := errors.Join(err, os.WriteFile(file, text, 0o600)); err != nil {
		b.Fatal(err)
	}
}

// handMade is a backup that somebody else makes on this host.
type handMade struct {
	*backupSite
	file *os.File
}

func (b *backupSite) makes() *handMade {
	b.Helper()
	f, err := os.OpenFile(thishost.From(b.config()).BackupLock(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	return &handMade{b, f}
}

func (h *handMade) lock() {
	if err := syscall.Flock(int(h.file.Fd()), syscall.LOCK_EX); err != nil {
		h.Error(err)
	}
}

// TestBackupsOfOthers: a directory that is shared has a newest backup for each who shares it.
func TestBackupsOfOthers(t *testing.T) {
	b, now := newBackupSite(t), time.Now().UTC().Truncate(time.Second)
	b.layOf("kt02", "c1", now.Add(-time.Minute))
	b.layOf("kt01", "c2", now.Add(-2*time.Minute))
	if k, _ := thishost.Backups(b.config(), now); !k.Newest.IsZero() {
		t.Errorf("another's is taken for this host's: %+v", k)
	}
	b.lay(now.Add(-time.Hour))
	if k, _ := thishost.Backups(b.config(), now); !k.Newest.Equal(now.Add(-time.Hour)) {
		t.Errorf("the newest is %+v", k)
	}
}

func (b *backupSite) note(n audit.Notice) error {
	b.notes = append(b.notes, n)
	return nil
}

func (b *backupSite) backups(run func(context.Context) error) *backups {
	return &backups{confdir: b.confdir, report: func() replication.Report { return b.report }, make: run, note: b.note, now: time.Now, log: slog.New(slog.NewTextHandler(b.log, nil))}
}

// eventually waits until what is true.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// TestBackupsRun: a host without a backup makes one when its daemon starts, and then none until the next time; the other host is told; one
// that is under way ends with the daemon.
func TestBackupsRun(t *testing.T) {
	b := newBackupSite(t)
	runs := 0
	hourly := b.backups(func(ctx context.Context) error {
		runs++
		started := time.Now().UTC().Truncate(time.Second)
		b.lay(started)
		return backup.EndedAttempt(started, "one", nil).Save(thishost.From(b.config()).BackupAttempt())
	})
	if hourly.Known() != nil || !reflect.DeepEqual(hourly.Word(), replication.BackupWord{}) {
		t.Error("something is known before it was looked")
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { hourly.Run(ctx); close(ended) }()
	eventually(t, "a backup is known", func() bool { k := hourly.Known(); return k != nil && !k.Newest.IsZero() && !k.Running })
	stop()
	<-ended
	k := hourly.Known()
	if runs != 1 || !k.Mine || k.Recipients != 2 || k.Schedule != "0 * * * *" || !k.Due.Equal(k.Newest.Truncate(time.Hour).Add(time.Hour)) || k.Trouble != "" {
		t.Errorf("%d runs, and known is %+v", runs, *k)
	}
	if w := hourly.Word(); !w.Newest.Equal(k.Newest) || w.Running {
		t.Errorf("the other host is told %+v", w)
	}

	if len(b.notes) != 1 || b.notes[0].Kind != "backup" || b.notes[0].Fields[0].Value != "made" || b.notes[0].Grave {
		t.Errorf("the audit log has %+v", b.notes)
	}

	broken := newBackupSite(t)
	dead := broken.backups(func(context.Context) error {
		return &host.HintedError{Err: errors.New("no such program"), Hint: "install it"}
	})
	ctx, stop = context.WithCancel(t.Context())
	ended = make(chan struct{})
	go func() { dead.Run(ctx); close(ended) }()
	eventually(t, "it has failed", func() bool { k := dead.Known(); return k != nil && k.Failure != "" })
	stop()
	<-ended
	if k := dead.Known(); k.Failure != "no such program" || k.Remedy != "install it" || !k.Due.Equal(k.Tried.Add(10*time.Minute)) {
		t.Errorf("of one that could not even begin is known %+v", *k)
	}
	if len(broken.notes) != 2 || broken.notes[0].Fields[0].Value != "failed" || broken.notes[0].Text != "no such program" || broken.notes[1].Fields[0].Value != "alarm" {
		t.Errorf("the audit log has %+v", broken.notes)
	}

	killed := newBackupSite(t)
	oom := killed.backups(func(context.Context) error {
		return errors.Join(backup.Attempt{Started: time.Now().UTC().Truncate(time.Second)}.Save(thishost.From(killed.config()).BackupAttempt()), errors.New("signal: killed"))
	})
	ctx, stop = context.WithCancel(t.Context())
	ended = make(chan struct{})
	go func() { oom.Run(ctx); close(ended) }()
	eventually(t, "it was killed", func() bool { k := oom.Known(); return k != nil && k.Failure == "signal: killed" })
	stop()
	<-ended

	late := newBackupSite(t)
	hand := late.makes()
	begun := make(chan struct{})
	beaten := late.backups(func(context.Context) error {
		close(begun)
		hand.lock()
		return errors.New("a backup of this host is being made already")
	})
	ctx, stop = context.WithCancel(t.Context())
	ended = make(chan struct{})
	go func() { beaten.Run(ctx); close(ended) }()
	<-begun
	eventually(t, "it has seen who makes one", func() bool { k := beaten.Known(); return k != nil && k.Running && !beaten.runs() })
	if k := beaten.Known(); k.Failure != "" || !beaten.Word().Running {
		t.Errorf("of one that met another is known %+v", *k)
	}
	stop()
	<-ended
	if len(late.notes) != 0 {
		t.Errorf("the audit log has %+v", late.notes)
	}

	second := newBackupSite(t)
	under := make(chan struct{})
	slow := second.backups(func(ctx context.Context) error { close(under); <-ctx.Done(); return ctx.Err() })
	ctx, stop = context.WithCancel(t.Context())
	ended = make(chan struct{})
	go func() { slow.Run(ctx); close(ended) }()
	<-under
	if !slow.Word().Running {
		t.Error("the other host is not told that one is made")
	}
	stop()
	<-ended
}

// TestBackupsPlan: whether this host begins one follows from both hosts' backups, from its settings as they are now, and from its part.
func TestBackupsPlan(t *testing.T) {
	b := newBackupSite(t)
	now := time.Date(2026, 11, 29, 15, 20, 0, 0, time.UTC)
	at := func(hour, minute int) time.Time { return time.Date(2026, 11, 29, hour, minute, 0, 0, time.UTC) }
	hourly := b.backups(nil)
	hourly.up = at(3, 0)
	look := func() (backup.Plan, replication.Backups) {
		t.Helper()
		p, err := hourly.plan(now)
		if err != nil {
			t.Fatal(err)
		}
		return p, *hourly.Known()
	}
	b.lay(at(13, 0))
	b.lay(at(23, 0)) // by a clock that was wrong
	if p, k := look(); !p.Mine || !p.Due(now).Equal(at(14, 0)) || !k.Newest.Equal(at(13, 0)) || !k.Late.Equal(at(15, 0)) {
		t.Errorf("of its own: %+v, %+v", p, k)
	}
	b.report.PeerName, b.report.PeerAnswers, b.report.Turned = "kt02", true, at(15, 0)
	b.report.Peer.Backups = replication.BackupWord{Newest: at(15, 0), Running: true}
	if p, k := look(); !p.Mine || !p.Running || !p.Due(now).Equal(at(16, 0)) || !k.Other.Equal(at(15, 0)) || !k.Due.Equal(at(16, 0)) || !k.Late.Equal(at(17, 0)) {
		t.Errorf("by the other's word: %+v, %+v", p, k)
	}
	b.settings(b.recipients + "backup_targets: [\"file:///mnt/kt\", \"sftp://kt@store/kt\"]\n")
	if _, k := look(); len(k.Targets) != 2 || k.Targets[0] != (replication.BackupTarget{Target: "file:///mnt/kt"}) || len(k.OtherTargets) != 0 || !slices.Equal(hourly.Word().Targets, k.Targets) {
		t.Errorf("of targets that have nothing: %+v", k)
	}
	b.confirm("file:///mnt/kt", at(13, 0), at(23, 0))
	b.confirm("sftp://kt@store/kt", at(13, 0))
	b.report.Peer.Backups.Targets = []replication.BackupTarget{{Target: "file:///mnt/kt", Newest: at(14, 0), Late: at(23, 0)}, {Target: "file:///mnt/other", Newest: at(23, 0)}}
	if _, k := look(); k.Targets[0] != (replication.BackupTarget{Target: "file:///mnt/kt", Newest: at(13, 0), Late: at(16, 0)}) ||
		!slices.Equal(k.OtherTargets, []replication.BackupTarget{{Target: "file:///mnt/kt", Newest: at(14, 0), Late: at(17, 0)}, {Target: "file:///mnt/other"}}) || !slices.Equal(hourly.Word().Targets, k.Targets) {
		t.Errorf("of targets that have some: %+v, %+v", k, hourly.Word())
	}
	b.settings(b.recipients + "backup_targets: [\"ftp://store\"]\n")
	if _, k := look(); len(k.Targets) != 0 || !strings.HasPrefix(k.TargetTrouble, "backup_targets: ") || k.Trouble != "" {
		t.Errorf("targets that are none: %+v", k)
	}
	b.settings(b.recipients)
	b.report.PeerAnswers, b.report.Peer.Backups.Newest = false, now.Add(time.Second)
	if p, k := look(); p.Running || !k.Other.Equal(now) {
		t.Errorf("of one that is silent, whose clock is ahead: %+v, %+v", p, k)
	}
	b.report.Peer.Backups.Newest = now.Add(3 * time.Hour)
	if _, k := look(); !k.Other.IsZero() {
		t.Errorf("of one whose clock is hours ahead: %+v", k)
	}
	b.report.Peer.Backups.Newest = at(14, 0)
	attempt := backup.EndedAttempt(at(15, 15), "", errors.New("no room"))
	if err := attempt.Save(thishost.From(b.config()).BackupAttempt()); err != nil {
		t.Fatal(err)
	}
	if p, k := look(); !p.Due(now).Equal(at(15, 25)) || k.Failure != "no room" {
		t.Errorf("after one that failed: %+v, %+v", p, k)
	}
	hourly.up, b.report.PeerAge = at(15, 19), replication.Never
	if p, _ := look(); p.Mine {
		t.Errorf("of the other host nothing is known yet: %+v", p)
	}
	hourly.up, b.report.PeerAge = at(3, 0), 0
	b.report.Open = true
	if p, k := look(); p.Mine || !strings.Contains(k.Part, "kt02, the passive") {
		t.Errorf("an active with its passive: %+v, %+v", p, k)
	}
	hand := b.makes()
	hand.lock()
	if p, k := look(); !p.Running || !k.Running || !hourly.Word().Running {
		t.Errorf("somebody makes one by hand: %+v, %+v", p, k)
	}
	hand.file.Close()
	if p, k := look(); p.Running || k.Running || hourly.Word().Running {
		t.Errorf("somebody has made one by hand: %+v, %+v", p, k)
	}
	hourly.up = now.Add(-takeover)
	b.report.Peer.Backups = replication.BackupWord{Newest: at(13, 14), Running: true} // which was late at 15:14
	b.report.PeerAnswers, b.report.Turned = true, at(3, 0)
	if p, k := look(); !p.Mine || !p.Running || !strings.Contains(k.Part, "has made none in time") {
		t.Errorf("an active whose passive is late, and makes one: %+v, %+v", p, k)
	}
	hourly.beside = now.Add(-2 * time.Hour)
	if p, _ := look(); !p.Running {
		t.Errorf("one that takes two hours: %+v", p)
	}
	hourly.beside = now.Add(-2*time.Hour - time.Second)
	if p, _ := look(); !p.Mine || p.Running {
		t.Errorf("one that hangs: %+v", p)
	}
	b.report.Peer.Backups.Running = false
	if look(); !hourly.beside.IsZero() {
		t.Error("what has ended is not forgotten")
	}
	b.settings("backup_schedule: \"61 * * * *\"\nbackup_recipients: [age1nobody, age1nobody]\n")
	if p, k := look(); p.Mine || !p.Due(now).IsZero() || k.Recipients != 0 || !strings.Contains(k.Trouble, "backup_schedule") || !strings.Contains(k.Trouble, "no recipient of age") {
		t.Errorf("settings that are wrong: %+v, %+v", p, k)
	}
	b.settings("backup_keep_daily: -1\n")
	if _, err := hourly.plan(now); err == nil || !strings.Contains(err.Error(), "backup_keep_daily") {
		t.Errorf("a configuration that is wrong: %v", err)
	}
	b.settings("")
	if p, k := look(); k.Recipients != 0 || k.Trouble != "" || p.Mine || !k.Due.IsZero() {
		t.Errorf("nobody who could read it: %+v, %+v", p, k)
	}
}

// TestBackupNotes: an attempt that ends is told once, whoever made it; that the pair has no new backup when that begins and when it is over.
func TestBackupNotes(t *testing.T) {
	at := func(hour, minute int) time.Time { return time.Date(2026, 11, 29, hour, minute, 0, 0, time.UTC) }
	good := replication.Backups{Recipients: 2, Schedule: "0 * * * *", Newest: at(14, 0), Name: "kt-1", Late: at(16, 0), Tried: at(14, 0), Ended: at(14, 1)}
	with := func(edit func(*replication.Backups)) replication.Backups { k := good; edit(&k); return k }
	failed := with(func(k *replication.Backups) { k.Tried, k.Ended, k.Failure = at(15, 0), at(15, 1), "no room" })
	var notes backupNotes
	for _, row := range []struct {
		name    string
		known   replication.Backups
		certain bool
		now     time.Time
		want    string
	}{
		{"at its start, an old one", good, true, at(14, 30), ""},
		{"one fails", failed, true, at(15, 1), "failed(no room) since=2026-11-29T15:00:00Z"},
		{"once", failed, true, at(15, 2), ""},
		{"late, and perhaps the other host has one", failed, false, at(16, 1), ""},
		{"late, and one is being made", with(func(k *replication.Backups) { k.Running = true }), true, at(16, 1), "made() backup=kt-1 since=2026-11-29T14:00:00Z"},
		{"late", failed, true, at(16, 1), "failed(no room) since=2026-11-29T15:00:00Z alarm(the newest verified backup was begun 2h1m0s ago, at 2026-11-29 14:00:00 UTC; the attempt at 15:00:00 UTC failed: no room)"},
		{"once", failed, true, at(16, 2), ""},
		{"the other host has made one", with(func(k *replication.Backups) { *k = failed; k.Other, k.Late = at(16, 0), at(18, 0) }), true, at(16, 3), "in_order()"},
	} {
		var got []string
		for _, n := range notes.of(row.known, row.certain, row.now) {
			text := n.Fields[0].Value + "(" + n.Text + ")"
			for _, f := range n.Fields[1:] {
				text += " " + f.Name + "=" + f.Value
			}
			if n.Kind != "backup" || n.Grave != (n.Text != "") || !n.At.Equal(row.now) {
				t.Errorf("%s: %+v", row.name, n)
			}
			got = append(got, text)
		}
		if text := strings.Join(got, " "); text != row.want {
			t.Errorf("%s: %q, want %q", row.name, text, row.want)
		}
	}
}
