package replication

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keytrustee/postgres"
)

func newState(t *testing.T) (*StateFile, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.json")
	f, err := CreateState(path, State{Self: "kt01", Duty: Active, Epoch: NewEpoch(1), SystemID: 1<<63 + 5, Incarnation: NewIncarnation()})
	if err != nil {
		t.Fatal(err)
	}
	return f, path
}

func TestStateSurvives(t *testing.T) {
	f, path := newState(t)
	err := f.Update(func(s *State) error {
		s.Peer = &Peer{Name: "kt02", Address: "::1", ClusterPort: 11372, DatabasePort: 11381, Incarnation: "i"}
		s.Confirmed = Confirmed{postgres.Snapshot{Xmin: 10, Xmax: 20, Running: []postgres.XID{10, 14}}, []postgres.XID{14, 25}, 0x30526B0}
		s.Compared, s.SyncEnabled, s.LastConfirmed = &Compared{"a", "p", "i"}, true, 7
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	again, err := OpenState(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(f.Current(), again.Current()); diff != "" {
		t.Error(diff)
	}
	if _, err := CreateState(path, f.Current()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a state was replaced: %v", err)
	}
}

// TestStateFailsWhole: a change that fails, or whose writing fails, is not there, and Current is not touched by what its
// caller does with it.
func TestStateFailsWhole(t *testing.T) {
	f, path := newState(t)
	before := f.Current()
	boom := errors.New("boom")
	if err := f.Update(func(s *State) error { s.Self = "x"; return boom }); err != boom {
		t.Fatalf("error %v", err)
	}
	got := f.Current()
	got.Confirmed.Acknowledged = append(got.Confirmed.Acknowledged, 1)
	if err := os.Rename(filepath.Dir(path), filepath.Dir(path)+".away"); err != nil {
		t.Fatal(err)
	}
	if err := f.Update(func(s *State) error { s.SyncEnabled = true; return nil }); err == nil {
		t.Fatal("written into a directory that is gone")
	}
	if diff := cmp.Diff(before, f.Current()); diff != "" {
		t.Error(diff)
	}
	trouble := f.Trouble()
	if want := path + " can not be written: no such file or directory"; trouble != want {
		t.Errorf("trouble %q, want %q", trouble, want)
	}
	if err := f.rewrite(); err == nil || err.Error() != trouble {
		t.Errorf("rewriting: %v, want the same words again", err)
	}
	if err := os.Rename(filepath.Dir(path)+".away", filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if err := f.rewrite(); err != nil || f.Trouble() != "" {
		t.Errorf("with the directory back: %v, trouble %q", err, f.Trouble())
	}
}

// TestStateGroups: many changes at once are all there when their Update returns, whatever they share.
func TestStateGroups(t *testing.T) {
	f, path := newState(t)
	var all sync.WaitGroup
	for x := range postgres.XID(100) {
		all.Go(func() {
			err := f.Update(func(s *State) error {
				if s.Confirmed.Position > 90 {
					return errUnchanged
				}
				s.Confirmed.Acknowledged = append(s.Confirmed.Acknowledged, x)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			onDisk, err := OpenState(path)
			if err != nil {
				t.Error(err)
				return
			}
			for _, have := range onDisk.Current().Confirmed.Acknowledged {
				if have == x {
					return
				}
			}
			t.Errorf("%d is not on the disk", x)
		})
	}
	all.Wait()
	if n := len(f.Current().Confirmed.Acknowledged); n != 100 {
		t.Errorf("%d of 100", n)
	}
}

func TestOpenStateRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	if _, err := OpenState(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	for _, text := range []string{"", "{", "{}", `{"self":"a","duty":"leader","epoch":{"number":1,"id":"x"}}`, `{"self":"a","duty":"active"}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenState(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
