package backup

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"keytrustee/postgres/pgtest"
	"keytrustee/replication/forgetfs"
)

// TestShipPowerLoss: a target whose disk forgets what was not synced, at any point of sending and of removing, lists whole backups
// alone; what it confirmed it still has.
func TestShipPowerLoss(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a disk that forgets")
	}
	eachKind(t, func(t *testing.T, y *yard, dir string) {
		disk, err := forgetfs.Mount(dir, filepath.Join(pgtest.Dir(t), "backing"), forgetfs.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := disk.Unmount(); err != nil {
				t.Error(err)
			}
		})
		off := errors.New("the power is off")
		until := func(at string) ShipOptions {
			o := y.ShipOptions
			o.point = func(_, point string) error {
				if point == at {
					return off
				}
				return nil
			}
			return o
		}
		forget := func() {
			t.Helper()
			if err := disk.Forget(); err != nil {
				t.Fatal(err)
			}
		}
		keeping(y)
		kept := []Receipt{y.add(1, 10)}
		y.ship(kept[0])
		forget()
		holds(t, dir, kept...)
		for i, at := range []string{"begun", "sent", "checked", "told", "named"} {
			b := y.add(2+i, block+17)
			if _, err := Ship(t.Context(), until(at)); !errors.Is(err, off) {
				t.Fatalf("%s: %v", at, err)
			}
			forget()
			if at == "named" {
				holds(t, dir, append(kept, b)...)
				y.ship()
			} else {
				holds(t, dir, kept...)
				d := y.ship(b)
				if at != "begun" && d.Bytes > 0 {
					t.Errorf("%s: %d bytes were sent again", at, d.Bytes)
				}
			}
			forget()
			kept = append(kept, b)[max(0, len(kept)-2):]
			holds(t, dir, kept...)
		}
		b := y.add(8, 10)
		if _, err := Ship(t.Context(), until("withdrawn")); !errors.Is(err, off) {
			t.Fatal(err)
		}
		forget()
		kept = append(kept, b)[1:]
		holds(t, dir, kept...)
		y.ship()
		forget()
		holds(t, dir, kept...)
		tidy(t, dir)
	})
}
