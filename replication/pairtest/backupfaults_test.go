package pairtest_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

// The sections of docs/backup-faults.md.
const (
	broken  = "Broken off"
	fullUp  = "No room"
	clocks  = "Clocks, and two at once"
	damaged = "What is damaged, or another's"
	sent    = "On the way to another host"
	tried   = "A restore test that is broken off"
	rebuilt = "A restore that is broken off"
)

// points are where a backup may be broken off, and what is done then.
var points = []struct{ point, what string }{
	{"begun", "create: nothing is written"}, {"dumped", "create: in the middle"}, {"written", "create: all is written and synced"},
	{"read back", "verify: it is read back"}, {"restored", "verify: its server runs"}, {"proven", "verify: it is proven"},
	{"receipt written", "publish: its receipt is there"}, {"named", "publish: it has its name"},
	{"withdrawn", "retention: an earlier one has lost its name"},
}

// TestBackupFaults: faults befall the backups of a pair at every step, and what comes of each is what docs/backup-faults.md says: what is
// listed is whole, every earlier backup is there, byte for byte, the next one removes what was left, and writes stay open meanwhile.
func TestBackupFaults(t *testing.T) {
	p := pairtest.NewHosts(t, pairtest.Options{Clock: true})
	s := newShelf(t, p)
	for range 3 {
		name, material := p.Active.MustCreate(t)
		s.keys[name] = material
	}
	stalled := s.at(p.Active, "/srv/stalled").stalls()
	some := false // of them were not asked for
	for _, part := range []struct {
		name   string
		befall func(*shelf)
	}{
		{"clocks", wrongClocks}, {"killed", killed}, {"terminated", terminated}, {"power loss", powerLoss}, {"no room", noRoom}, {"a flipped byte", flippedByte},
		{"sent", shipped}, {"stalled", stalled}, {"a restore test", restoreTests}, {"damaged", damagedOnes}, {"a restore", restores},
	} {
		ran := false
		t.Run(part.name, func(t *testing.T) {
			ran, s.T = true, t
			part.befall(s)
		})
		s.T, some = t, some || !ran
		if t.Failed() {
			return
		}
	}
	if !some || *update {
		s.seen.holdsPage(t)
	}
}

// wrongClocks: the clock is turned back, forth, and to a second that has a backup; the hour that a zone has twice is two. At last it is an
// hour ago and stays so: nothing depends on when the test runs.
func wrongClocks(s *shelf) {
	came := func(fault, ended string) { s.came(clocks, fault, "create", ended) }
	twice := time.Date(2026, 10, 25, 0, 30, 0, 0, time.UTC) // 02:30 in Berlin, as is an hour later
	s.setClock(twice)
	s.create()
	s.setClock(twice.Add(time.Hour))
	second := s.create()
	s.whole = withoutLast(s.whole, second)
	came("the hour that daylight saving repeats, for the second time", "0")

	started, err := time.Parse("20060102T150405Z", second[strings.LastIndexByte(second, '-')+1:])
	if err != nil {
		s.Fatal(err)
	}
	s.setClock(started.Add(-50 * time.Millisecond))
	c := s.stopped("named")
	c.Kill(s.T)
	came("the clock is set back to a second that has a backup", "killed, when it has its name")

	s.setClock(today().Add(48 * time.Hour))
	ahead := s.create()
	s.whole = withoutLast(s.whole, ahead)
	came("the clock is two days ahead", "0")
	s.setClock(today())
	again := s.create()
	s.whole = withoutLast(s.whole, again)
	came("and is right again", "0")
	s.setClock(today().Add(-10 * time.Second))
	behind := s.create()
	s.whole = withoutLast(s.whole, behind)
	came("and is set back, to before the newest one of the hour", "0")
	s.setClock(today().Add(time.Minute))

	c = s.stopped("written")
	_, stderr, status := s.ktadmin("backup", "create")
	came("a second backup of the host", s.said(stderr, status))
	_, stderr, status = c.GoOn(s.T)
	s.retired(stderr)
	came("and the first goes on", s.said(stderr, status))
}

// today is a time of today, as a backup's clock has it: the hour has just begun then, so all backups of the test are of one hour.
func today() time.Time { return time.Now().UTC().Truncate(time.Hour).Add(-50 * time.Minute) }

// withoutLast forgets that a backup was seen, so that it is new again.
func withoutLast(whole map[string]string, name string) map[string]string {
	delete(whole, name)
	return whole
}

// brokenOff has a backup befallen by a fault at every point, each run removing what the one before has left, and at last one that succeeds.
func (s *shelf) brokenOff(fault string, befall func(c *pairtest.Command) (ended string)) {
	s.create()
	for _, at := range points {
		c := s.stopped(at.point)
		if at.point == "begun" {
			if left := s.left(); left != "a part" {
				s.Errorf("beside whole backups and the part of this run there is %s", left)
			}
		}
		if at.point == "withdrawn" {
			s.forgetWithdrawn()
		}
		s.came(broken, fault, at.what, befall(c))
	}
	s.create()
}

// forgetWithdrawn forgets the one backup that has lost its name, since it is not kept any longer.
func (s *shelf) forgetWithdrawn() {
	s.Helper()
	gone := 0
	for name := range s.whole {
		if _, err := os.Lstat(filepath.Join(s.on.File(s.dir), name+".ktb")); errors.Is(err, fs.ErrNotExist) {
			delete(s.whole, name)
			gone++
		}
	}
	if gone != 1 {
		s.Errorf("%d backups have lost their names", gone)
	}
}

func killed(s *shelf) {
	s.brokenOff("kill -9", func(c *pairtest.Command) string {
		c.Kill(s.T)
		return "killed"
	})
}

func terminated(on *shelf) {
	s := on.at(on.pair.Active, on.dir)
	s.setClock(today())
	s.brokenOff("SIGTERM", func(c *pairtest.Command) string {
		_, stderr, status := c.Terminate(s.T)
		s.retired(stderr)
		return s.said(stderr, status)
	})
}

func powerLoss(on *shelf) {
	s := on.at(on.on, "/srv/power")
	forget := s.on.ForgetfulAt(s.T, s.dir, s.dir+".backing")
	s.brokenOff("power loss: what was not synced is gone", func(c *pairtest.Command) string {
		c.Kill(s.T)
		forget(s.T)
		return "killed"
	})
}

// noRoom: the disk of the backups is full, at whatever step; and on the disk of the database they leave what writes need.
func noRoom(s *shelf) {
	d := s.at(s.on, "/srv/small")
	shell(d.T, d.on, "mount -t tmpfs -o size=2g,mode=0700,uid=$(id -u keytrustee),gid=$(id -g keytrustee) tmpfs "+d.dir)
	d.create()
	for _, at := range points {
		switch at.point {
		case "begun", "written", "read back", "restored", "proven":
		default:
			continue
		}
		c := d.stopped(at.point)
		shell(d.T, d.on, "mount -o remount,size=$(( ($(df --output=used -k "+d.dir+" | tail -1)) ))k "+d.dir)
		_, stderr, status := c.GoOn(d.T)
		d.came(fullUp, "the disk of the backups is full", at.what, d.said(stderr, status))
		shell(d.T, d.on, "mount -o remount,size=2g "+d.dir)
	}
	shell(d.T, d.on, "mount -o remount,size=512m "+d.dir)
	_, stderr, status := d.ktadmin("backup", "create")
	d.came(fullUp, "the disk of the backups is almost full", "before it begins", d.said(stderr, status))
	shell(d.T, d.on, "mount -o remount,size=2g "+d.dir)
	d.create()
	shell(d.T, d.on, "umount "+d.dir)

	fill := func(leave int64) {
		shell(s.T, s.on, fmt.Sprintf("fallocate -l %d /var/lib/keytrustee/.ballast", s.on.DiskFree(s.T)-leave))
	}
	free := func() { shell(s.T, s.on, "rm /var/lib/keytrustee/.ballast") }
	c := s.stopped("dumped")
	fill(320 << 20)
	_, stderr, status = c.GoOn(s.T)
	s.came(fullUp, "the disk of the database, with the backups on it, is almost full", "create: in the middle", s.said(stderr, status))
	_, stderr, status = s.ktadmin("backup", "create")
	s.came(fullUp, "the disk of the database, with the backups on it, is almost full", "before it begins", s.said(stderr, status))
	free()
	s.create()
}

// flippedByte: one byte of one sealed version is another in the database, and so in all that is summed.
func flippedByte(s *shelf) {
	conn := s.pair.Active.SQL(s.T)
	defer conn.Close(context.Background())
	flip := func(name string) {
		s.Helper()
		if _, err := conn.Exec(s.Context(), "update key_version set sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1) where name = $1", name+"@0"); err != nil {
			s.Fatal(err)
		}
	}
	for name := range s.keys {
		flip(name)
		_, stderr, status := s.ktadmin("backup", "create")
		said := s.said(stderr, status)
		if !strings.Contains(said, name+"@0") {
			s.Errorf("%s does not open, and a backup says %s", name, said)
		}
		flip(name)
		s.came(damaged, "one byte of one sealed version is another, and every sum made of that", "create", strings.ReplaceAll(said, name, "KEY"))
		break
	}
	s.create()
}

// retired forgets the backups that were removed, by the word of who did.
func (s *shelf) retired(stderr string) {
	for line := range strings.Lines(stderr) {
		if name, is := strings.CutPrefix(line, "removed "); is {
			delete(s.whole, strings.TrimSuffix(strings.TrimSpace(name), ", which is not kept any longer"))
		}
	}
}
