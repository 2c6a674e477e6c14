package backup

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keytrustee/postgres/pgtest"
)

// begun is the receipt of a backup of kt01 that was begun at t.
func begun(t time.Time) Receipt {
	r := Receipt{Format: Format, Verified: t, Manifest: Manifest{Format: Format, Started: t, Facts: Facts{Host: "kt01", Cluster: "c1", Epoch: 1}}}
	r.Name, _ = newName(r.Manifest)
	return r
}

// every makes receipts from one time to another.
func every(d time.Duration, from, to time.Time) (all []Receipt) {
	for t := from; !t.After(to); t = t.Add(d) {
		all = append(all, begun(t))
	}
	return all
}

func times(backups []Receipt) (texts []string) {
	for _, b := range backups {
		texts = append(texts, b.Manifest.Started.UTC().Format("Mon 02 15:04"))
	}
	return texts
}

func TestKeep(t *testing.T) {
	now := time.Date(2026, 11, 29, 15, 0, 0, 0, time.UTC) // a Sunday
	at := func(day, hour, minute int) Receipt {
		return begun(time.Date(2026, 11, day, hour, minute, 0, 0, time.UTC))
	}
	for _, row := range []struct {
		name      string
		retention Retention
		backups   []Receipt
		kept      []string
	}{
		{"none", Retention{Hourly: 1}, nil, nil},
		{"of each hour the newest", Retention{Hourly: 2}, []Receipt{at(29, 13, 0), at(29, 14, 0), at(29, 14, 59), at(29, 15, 0)}, []string{"Sun 29 14:59", "Sun 29 15:00"}},
		{"in any order", Retention{Hourly: 2}, []Receipt{at(29, 15, 0), at(29, 13, 0), at(29, 14, 0)}, []string{"Sun 29 14:00", "Sun 29 15:00"}},
		{"an hour without one takes no place", Retention{Hourly: 3}, []Receipt{at(29, 4, 0), at(29, 5, 0), at(29, 6, 0), at(29, 15, 0)}, []string{"Sun 29 05:00", "Sun 29 06:00", "Sun 29 15:00"}},
		{"of each day the newest", Retention{Daily: 2}, every(time.Hour, now.Add(-50*time.Hour), now), []string{"Sat 28 23:00", "Sun 29 15:00"}},
		{"of each week the newest", Retention{Weekly: 3}, every(24*time.Hour, now.Add(-28*24*time.Hour), now), []string{"Sun 15 15:00", "Sun 22 15:00", "Sun 29 15:00"}},
		{"each kind has its own places", Retention{Hourly: 2, Daily: 2, Weekly: 2}, every(time.Hour, now.Add(-20*24*time.Hour), now),
			[]string{"Sun 22 23:00", "Sat 28 23:00", "Sun 29 14:00", "Sun 29 15:00"}},
		{"the default", Retention{Hourly: 10, Daily: 7, Weekly: 4}, every(time.Hour, now.Add(-60*24*time.Hour), now), []string{"Sun 08 23:00", "Sun 15 23:00", "Sun 22 23:00", "Mon 23 23:00",
			"Tue 24 23:00", "Wed 25 23:00", "Thu 26 23:00", "Fri 27 23:00", "Sat 28 23:00", "Sun 29 06:00", "Sun 29 07:00", "Sun 29 08:00", "Sun 29 09:00", "Sun 29 10:00",
			"Sun 29 11:00", "Sun 29 12:00", "Sun 29 13:00", "Sun 29 14:00", "Sun 29 15:00"}},
		{"the newest so many", Retention{Newest: 3}, []Receipt{at(29, 15, 0), at(29, 14, 58), at(28, 0, 0), at(29, 14, 59)}, []string{"Sun 29 14:58", "Sun 29 14:59", "Sun 29 15:00"}},
		{"nothing is said: all", Retention{}, []Receipt{at(1, 0, 0), at(1, 0, 1)}, []string{"Sun 01 00:00", "Sun 01 00:01"}},
		{"the newest, whatever is said", Retention{Hourly: -1}, []Receipt{at(1, 0, 0), at(1, 0, 1)}, []string{"Sun 01 00:01"}},
		{"a wrong clock's", Retention{Hourly: 1}, []Receipt{at(29, 14, 0), at(29, 15, 0), at(30, 15, 0), at(30, 16, 0)}, []string{"Sun 29 15:00", "Mon 30 15:00", "Mon 30 16:00"}},
	} {
		kept, expendable := row.retention.Keep(row.backups, now)
		if diff := cmp.Diff(row.kept, times(kept)); diff != "" {
			t.Errorf("%s: kept (-want +got):\n%s", row.name, diff)
		}
		if len(kept)+len(expendable) != len(row.backups) || !slices.IsSortedFunc(expendable, func(a, b Receipt) int { return a.Manifest.Started.Compare(b.Manifest.Started) }) {
			t.Errorf("%s: the others are %v", row.name, times(expendable))
		}
	}
}

// TestKeepKnowsOneTime: which backups stay does not depend on the zone that their times are told in, nor on a change of the clocks.
func TestKeepKnowsOneTime(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range []time.Time{time.Date(2026, 10, 25, 1, 0, 0, 0, time.UTC), time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC)} {
		backups := every(time.Hour, change.Add(-15*time.Hour), change.Add(15*time.Hour))
		for i := range backups {
			backups[i].Manifest.Started = backups[i].Manifest.Started.In(berlin)
		}
		kept, _ := Retention{Hourly: 24}.Keep(backups, change.Add(15*time.Hour).In(berlin))
		if len(kept) != 24 || !kept[0].Manifest.Started.Equal(change.Add(-8*time.Hour)) {
			t.Errorf("about %v are kept %v", change.In(berlin), times(kept))
		}
	}
}

// lay puts a backup into the directory that List believes.
func lay(t *testing.T, dir string, r Receipt) Receipt {
	t.Helper()
	r.Size = 3
	text, err := json.Marshal(r)
	if err := errors.Join(err, os.WriteFile(filepath.Join(dir, r.Name+receiptSuffix), text, 0o600), os.WriteFile(filepath.Join(dir, r.Name+fileSuffix), []byte("ktb"), 0o600)); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestRetire: what is removed are the verified backups of this host and of this cluster that are not kept, and nothing else; what can
// not be removed is told, and keeps no other.
func TestRetire(t *testing.T) {
	now := time.Date(2026, 11, 29, 15, 0, 0, 0, time.UTC)
	s := &site{Options: Options{Directory: filepath.Join(t.TempDir(), "backups"), Facts: Facts{Host: "kt01", Cluster: "c1"}, Retention: Retention{Hourly: 2}}}
	s.Sockets = t.TempDir()
	root, err := openDirectory(s.Directory)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	r := &run{Options: s.Options, root: root}
	var names, stay []string
	for _, b := range every(time.Hour, now.Add(-4*time.Hour), now) {
		names = append(names, lay(t, s.Directory, b).Name)
	}
	keep := func(b Receipt, change func(*Receipt)) Receipt {
		t.Helper()
		change(&b)
		if b.Name, err = newName(b.Manifest); err != nil {
			t.Fatal(err)
		}
		stay = append(stay, files(b)...)
		return lay(t, s.Directory, b)
	}
	old := begun(now.Add(-100 * time.Hour))
	keep(old, func(b *Receipt) { b.Manifest.Host = "kt02" })
	keep(old, func(b *Receipt) { b.Manifest.Cluster = "c2" })
	keep(begun(now.Add(-99*time.Hour)), func(b *Receipt) { b.Manifest.RootKey = "of a host that was lost" })
	cut := keep(old, func(b *Receipt) { b.Manifest.Started = b.Manifest.Started.Add(time.Minute) })
	if err := os.Truncate(filepath.Join(s.Directory, cut.Name+fileSuffix), 2); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"kt-kt01-e1-20260101T000000Z.ktb", "kt-kt01-e1-20260102T000000Z.json", "notes.ktb", "kt-kt01.tar"} {
		stay = append(stay, file)
		if err := os.WriteFile(filepath.Join(s.Directory, file), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// A directory can not be removed that holds something, and a file in its place neither.
	stuck := filepath.Join(s.Directory, names[1]+partialSuffix)
	if err := errors.Join(os.Mkdir(stuck, 0o700), os.WriteFile(filepath.Join(stuck, "x"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	removed, err := r.retire(now, "")
	if diff := cmp.Diff([]string{names[0], names[2]}, removed); diff != "" {
		t.Errorf("removed (-want +got):\n%s", diff)
	}
	if err == nil || !strings.Contains(err.Error(), "removing the backup "+names[1]) {
		t.Errorf("what could not be removed: %v", err)
	}
	if err := os.RemoveAll(stuck); err != nil {
		t.Fatal(err)
	}
	if removed, err := r.retire(now, ""); err != nil || len(removed) != 1 || removed[0] != names[1] {
		t.Errorf("once it could be: %v, %v", removed, err)
	}
	for _, name := range names[3:] {
		stay = append(stay, name+fileSuffix, name+receiptSuffix)
	}
	s.holds(t, stay...)
	if removed, err := r.retire(now, ""); err != nil || removed != nil {
		t.Errorf("with nothing to remove: %v, %v", removed, err)
	}
	early := lay(t, s.Directory, begun(now.Add(-time.Hour-time.Second)))
	if removed, err := r.retire(now, early.Name); err != nil || removed != nil {
		t.Errorf("just after %s was made: %v, %v", early.Name, removed, err)
	}
}

// TestRetireBrokenOff: a removal that ends at any step leaves no backup that is listed, and nothing that the next run does not remove.
func TestRetireBrokenOff(t *testing.T) {
	now := time.Date(2026, 11, 29, 15, 0, 0, 0, time.UTC)
	for _, left := range [][]string{{partialSuffix, receiptSuffix}, {partialSuffix}} {
		s := &site{Options: Options{Directory: filepath.Join(t.TempDir(), "backups"), Facts: Facts{Host: "kt01", Cluster: "c1"}}}
		root, err := openDirectory(s.Directory)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		r := &run{Options: s.Options, root: root}
		gone := lay(t, s.Directory, begun(now))
		broken := errors.New("power is lost")
		r.point = func(point string) error {
			if point == "withdrawn" {
				return broken
			}
			return nil
		}
		if err := r.withdraw(gone.Name); !errors.Is(err, broken) {
			t.Fatal(err)
		}
		for _, suffix := range []string{partialSuffix, receiptSuffix} {
			if !slices.Contains(left, suffix) {
				if err := os.Remove(filepath.Join(s.Directory, gone.Name+suffix)); err != nil {
					t.Fatal(err)
				}
			}
		}
		s.lists(t)
		if c := s.lists(t); len(c.LeftOut) != 1 || !strings.Contains(c.LeftOut[0].Why, "the next one removes") {
			t.Errorf("left out are %v", c.LeftOut)
		}
		entries, err := os.ReadDir(s.Directory)
		if err != nil || len(entries) != len(left) {
			t.Fatalf("it left %v, %v", entries, err)
		}
		if err := r.discard(gone.Name); err != nil {
			t.Fatal(err)
		}
		if entries, err := os.ReadDir(s.Directory); err != nil || len(entries) != 0 {
			t.Errorf("the next run leaves %v, %v", entries, err)
		}
	}
}

// TestCreateRetires: a backup that was made removes those that it makes superfluous, one that was not made none.
func TestCreateRetires(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	s := newSite(t)
	first := s.mustCreate(t)
	s.Retention = Retention{Daily: 1}
	var told []string
	s.Retired = func(names []string, err error) {
		if err != nil {
			t.Error(err)
		}
		told = append(told, names...)
	}
	sql(t, s.Server, `update thing set sealed = 'x' where id::text like '%1'`)
	if _, err := Create(t.Context(), s.Options); err == nil {
		t.Fatal("a thing that does not open was backed up")
	}
	s.holds(t, files(first)...)
	sql(t, s.Server, `update thing set sealed = 'sealed' where id::text like '%1'`)
	second := s.mustCreate(t)
	s.holds(t, files(second)...)
	if diff := cmp.Diff([]string{first.Name}, told); diff != "" {
		t.Errorf("told was (-want +got):\n%s", diff)
	}
}
