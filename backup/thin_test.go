package backup

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"keytrustee/postgres/pgtest"
)

// keeping makes a yard one of host kt01 in cluster c1 whose targets keep three hours and two days, ten days later.
func keeping(y *yard) {
	y.Host, y.Cluster, y.Retention = "kt01", "c1", Retention{Hourly: 3, Daily: 2}
	y.now = func() time.Time { return time.Date(2026, 11, 10, 0, 0, 0, 0, time.UTC) }
}

// as makes a target's files those of its server's user.
func as(t *testing.T, dir string) {
	t.Helper()
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		own(t, filepath.Join(dir, e.Name()), info)
	}
}

// TestShipKeeps: a target keeps of this host's backups what retention says, whether they are here or not, and all of others'.
func TestShipKeeps(t *testing.T) {
	eachKind(t, func(t *testing.T, y *yard, dir string) {
		keeping(y)
		var all []Receipt
		for hour := 1; hour <= 30; hour++ {
			all = append(all, y.add(hour, 10+hour))
		}
		late := all[len(all)-3:]
		midnight := all[22] // the last of the first day, 23:00
		y.ship(late[2], late[1], late[0], midnight)
		holds(t, dir, append([]Receipt{midnight}, late...)...)

		// What others have sent there, and what is nobody's.
		others := newYard(t, parsed(t, "file://"+dir))
		theirs := others.addOf("kt02", 3, 20)
		elsewhere := others.addIn("c2", "kt01", 4, 20)
		long := others.addOf("kt01-e1-x", 3, 20)
		future := others.addOf("kt01", 24*365*10, 20)
		others.ship(future, elsewhere, theirs, long)
		foreign := []string{"kt-kt02-e1-20260101T000000Z.ktb.partial", "kt-kt01-e1-x.ktb.partial", "notes.json", "kt-kt01-e1-20260101T000000Z.ktb"}
		for _, name := range foreign {
			if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		// What was left of backups that are no longer here.
		left := []string{all[0].Name + partialSuffix, tempReceipt(all[1].Name), "kt-kt01-e1-20260102T000000Z.ktb.partial"}
		for _, name := range left {
			if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		as(t, dir)

		// All of it is lost here, and there are new ones: what is there counts, and goes in its turn.
		for _, b := range all {
			if err := errors.Join(os.Remove(y.here(b.Name+fileSuffix)), os.Remove(y.here(b.Name+receiptSuffix))); err != nil {
				t.Fatal(err)
			}
		}
		a, b := y.add(31, 50), y.add(32, 51)
		d := y.ship(b, a)
		slices.Sort(d.Removed)
		if want := namesOf(late[:2]); !slices.Equal(d.Removed, want) {
			t.Errorf("removed are %v, want %v", d.Removed, want)
		}
		holds(t, dir, midnight, late[2], a, b, theirs, elsewhere, long, future)
		for _, name := range foreign {
			if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(text) != "x" {
				t.Errorf("%s: %q, %v", name, text, err)
			}
		}
		for _, name := range left {
			if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if d := y.ship(); len(d.Removed) > 0 {
			t.Errorf("removed again: %v", d.Removed)
		}
		shipped, err := LoadShipped(y.Directory)
		if err != nil || shipped.Has(d.Target, late[0]) || !shipped.Has(d.Target, late[2]) {
			t.Errorf("confirmed are %v, %v", shipped, err)
		}
	})
}

// TestShipKeepsWhatItHas: nothing is removed from a target while it lacks something, the newest backup above all.
func TestShipKeepsWhatItHas(t *testing.T) {
	eachKind(t, func(t *testing.T, y *yard, dir string) {
		keeping(y)
		old := []Receipt{y.add(1, 10), y.add(2, 10), y.add(3, 10)}
		y.ship(old[2], old[1], old[0])
		damaged := y.add(4, 10)
		pgtest.FlipByte(t, y.here(damaged.Name+fileSuffix), 5)
		if d := y.fails("is of no use"); len(d.Removed) > 0 {
			t.Errorf("removed are %v", d.Removed)
		}
		holds(t, dir, old...)
		pgtest.FlipByte(t, y.here(damaged.Name+fileSuffix), 5)
		if d := y.ship(damaged); !slices.Equal(d.Removed, []string{old[0].Name}) {
			t.Errorf("removed are %v", d.Removed)
		}
		holds(t, dir, old[1], old[2], damaged)

		// Alone, and older than anything that is kept by the hour: the newest stays.
		y.Retention = Retention{Hourly: 1}
		if d := y.ship(); len(d.Removed) != 2 {
			t.Errorf("removed are %v", d.Removed)
		}
		holds(t, dir, damaged)
		y.Retention = Retention{}
		y.ship(old[2], old[1], old[0])
		holds(t, dir, append(old, damaged)...)
	})
}

// TestShipEnough: who has no time sends the newest, whole, and leaves the rest, and what is there, as it is.
func TestShipEnough(t *testing.T) {
	eachKind(t, func(t *testing.T, y *yard, dir string) {
		keeping(y)
		old := y.add(1, 10)
		y.ship(old)
		a, b, c := y.add(2, 10), y.add(3, 10), y.add(4, 10)
		y.Enough = 1
		d := y.fails("no more was begun after 1ns")
		if !slices.Equal(d.Sent, []string{c.Name}) || !slices.Equal(d.Missing, namesOf([]Receipt{b, a})) || len(d.Removed) > 0 {
			t.Errorf("%+v", d)
		}
		holds(t, dir, old, c)
		y.fails("no more was begun")
		y.Enough = time.Hour
		y.ship(b, a)
		holds(t, dir, a, b, c)
	})
}

// TestShipKilledRemoving: a removal that was killed leaves nothing that is listed and not whole, and is ended by the next run.
func TestShipKilledRemoving(t *testing.T) {
	eachKind(t, func(t *testing.T, y *yard, dir string) {
		var all []Receipt
		for hour := range 6 {
			all = append(all, y.add(hour+1, 10))
		}
		y.ship(all[5], all[4], all[3], all[2], all[1], all[0])
		keeping(y)
		stopped := errors.New("killed")
		o := y.ShipOptions
		o.point = func(_, point string) error {
			if point == "withdrawn" {
				return stopped
			}
			return nil
		}
		d, err := Ship(t.Context(), o)
		if !errors.Is(err, stopped) || len(d[0].Removed) != 1 {
			t.Fatalf("%+v, %v", d, err)
		}
		catalog, err := List(dir)
		if err != nil || len(catalog.Backups) != 5 {
			t.Errorf("%+v, %v", catalog, err)
		}
		if d := y.ship(); len(d.Removed) != 2 {
			t.Errorf("removed are %v", d.Removed)
		}
		holds(t, dir, all[3:]...)
		tidy(t, dir)
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 6 {
			t.Errorf("there is %v, %v", entries, err)
		}
	})
}

// addIn is addOf for another cluster.
func (y *yard) addIn(cluster, host string, hour, size int) Receipt {
	y.t.Helper()
	r := y.addOf(host, hour, size)
	r.Manifest.Cluster = cluster
	text, err := json.Marshal(r)
	if err != nil || os.WriteFile(y.here(r.Name+receiptSuffix), text, 0o600) != nil {
		y.t.Fatal(err)
	}
	return r
}
