package forgetfs

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keytrustee/internal/durable"
)

// TestRandomActsAreUndone: whatever was done to files and names after everything had been synced, Forget brings back what
// there was then.
func TestRandomActsAreUndone(t *testing.T) {
	f := mounted(t, Options{})
	d := disk{t, f.dir}
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 0))
		acts := []string{fmt.Sprintf("seed %d", seed)}
		for range 30 {
			acts = append(acts, d.act(random))
		}
		d.syncAll()
		want := d.shows()
		acts = append(acts, "all synced")
		for range 60 {
			acts = append(acts, d.act(random))
		}
		f.forget(t)
		if got := d.shows(); got != want {
			t.Fatalf("%s\ngot  %s\nwant %s", strings.Join(acts, "\n"), got, want)
		}
	}
}

// act does one thing, which may be refused.
func (d disk) act(random *rand.Rand) string {
	name := func() string {
		where := []string{"", "p/", "q/", "p/q/"}
		return where[random.IntN(len(where))] + string(rune('a'+random.IntN(4)))
	}
	dir := func() string { return []string{"p", "q", "p/q", "r"}[random.IntN(4)] }
	one, other := name(), name()
	switch random.IntN(9) {
	case 0, 1:
		text := strings.Repeat(string(rune('a'+random.IntN(26))), 1+random.IntN(9000))
		file, err := os.OpenFile(d.path(one), os.O_WRONLY|os.O_CREATE, 0o644)
		if err == nil {
			_, err = file.WriteAt([]byte(text), random.Int64N(9000))
			file.Close()
		}
		return fmt.Sprint("write ", one, err)
	case 2:
		return fmt.Sprint("truncate ", one, os.Truncate(d.path(one), random.Int64N(9000)))
	case 3:
		return fmt.Sprint("remove ", one, os.Remove(d.path(one)))
	case 4:
		return fmt.Sprint("rename ", one, " ", other, os.Rename(d.path(one), d.path(other)))
	case 5:
		return fmt.Sprint("link ", one, " ", other, os.Link(d.path(one), d.path(other)))
	case 6:
		made := dir()
		return fmt.Sprint("mkdir ", made, os.Mkdir(d.path(made), 0o755))
	case 7:
		gone := dir()
		return fmt.Sprint("rmdir ", gone, os.Remove(d.path(gone)))
	default:
		from, to := dir(), dir()
		return fmt.Sprint("rename ", from, " ", to, os.Rename(d.path(from), d.path(to)))
	}
}

func (d disk) syncAll() {
	d.Helper()
	d.must(filepath.WalkDir(d.dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return durable.SyncDir(path) // it syncs a file as well
	}))
}
