package backup

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keytrustee/postgres/pgtest"
)

// listener keeps what it hears, phase by phase.
type listener struct {
	mu     sync.Mutex
	phases []phase
}

type phase struct {
	what, in    string
	total, done int64
	about       bool
}

func (l *listener) Begin(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.phases = append(l.phases, phase{what: what})
}

func (l *listener) change(f func(*phase)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(&l.phases[len(l.phases)-1])
}

func (l *listener) expect(in string, total int64, about bool) {
	l.change(func(p *phase) { p.in, p.total, p.about = in, p.total+total, p.about || about })
}

func (l *listener) Bytes(total int64, about bool)    { l.expect("bytes", total, about) }
func (l *listener) Versions(total int64, about bool) { l.expect("versions", total, about) }
func (l *listener) Moved(n int64)                    { l.change(func(p *phase) { p.done += n }) }

// heard: these phases came, in this order. What is not estimated comes to what it was said to.
func (l *listener) heard(t *testing.T, want ...string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var got []string
	for _, p := range l.phases {
		got = append(got, p.what)
		if p.in != "" && p.done == 0 || p.total > 0 && !p.about && p.done != p.total {
			t.Errorf("%s: %d of %d %s", p.what, p.done, p.total, p.in)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("phases (-want +got):\n%s", diff)
	}
}

// of is the phase that is called so.
func (l *listener) of(t *testing.T, what string) phase {
	t.Helper()
	for _, p := range l.phases {
		if p.what == what {
			return p
		}
	}
	t.Fatalf("there is no phase %q", what)
	return phase{}
}

// trialPhases are those of every trial.
var trialPhases = []string{"restoring it", "opening every version", "restoring its dump", "looking for every version in it"}

// TestProgressOfShipping: what each target lacks is expected, sent and read back, however much of it is there already; what none lacks is not.
func TestProgressOfShipping(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	var targets []Target
	var dirs []string
	for range 2 {
		dirs = append(dirs, pgtest.Dir(t))
		targets = append(targets, parsed(t, "file://"+dirs[len(dirs)-1]))
	}
	y := newYard(t, targets...)
	a, b := y.add(1, block+7), y.add(2, 3*block)
	ship := func(want int64) {
		t.Helper()
		said := new(listener)
		y.Progress = said
		if _, err := Ship(t.Context(), y.ShipOptions); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]phase{{"sending, and reading back, what 2 targets lack", "bytes", want, want, true}}, said.phases, cmp.AllowUnexported(phase{})); diff != "" {
			t.Errorf("heard (-want +got):\n%s", diff)
		}
	}
	text, err := os.ReadFile(y.here(b.Name + fileSuffix))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dirs[0], b.Name+partialSuffix), text[:block], 0o600); err != nil { // of a run that was killed
		t.Fatal(err)
	}
	ship(2 * 2 * (a.Size + b.Size))
	ship(0)
	c := y.add(3, 100)
	ship(2 * 2 * c.Size)
	if err := os.Remove(y.here(shippedFile)); err != nil { // what is there has to be read once
		t.Fatal(err)
	}
	ship(2 * 2 * (a.Size + b.Size + c.Size))
}
