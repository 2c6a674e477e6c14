package host

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keytrustee/postgres/pgtest"
)

// TestAbortPutsBack: wherever a re-clone stops, abort leaves the host with the data and the state that it had, and the active waits
// for nobody and keeps nothing. Abort itself may stop anywhere.
func TestAbortPutsBack(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	a := startActive(t)
	h := passiveOf(t, a)
	if _, err := h.Abort(pgtest.Context(t), nil); err == nil || !strings.Contains(err.Error(), "has begun that has not ended") {
		t.Errorf("with nothing to end: %v", err)
	}
	before, kept := stateOf(t, h.StateFile()), slots(t, a.server)
	for _, at := range []string{"before bootstrapping", "moved aside", "copying", "before completing", "before its end"} {
		for _, stop := range []string{"", "abort: told", "abort: copy removed", "abort: put back"} {
			if stop != "" && at != "before its end" && at != "copying" {
				continue
			}
			t.Run(at+"; "+stop, func(t *testing.T) {
				h.failpoint = func(point string) error {
					if point == recloneOperation+": "+at {
						return errCrash
					}
					return nil
				}
				if err := h.Join(pgtest.Context(t), recloneOptions(h, a)); !errors.Is(err, errCrash) {
					t.Fatalf("the re-clone: %v", err)
				}
				h.failpoint = func(point string) error {
					if point == stop {
						return errCrash
					}
					return nil
				}
				aborted, err := h.Abort(pgtest.Context(t), nil)
				h.failpoint = nil
				if stop != "" {
					if !errors.Is(err, errCrash) {
						t.Fatalf("abort: %v", err)
					}
					aborted, err = h.Abort(pgtest.Context(t), nil)
				}
				if err != nil || stop == "" && aborted.Untold != nil {
					t.Fatalf("abort: %+v, %v", aborted, err)
				}
				if !marked(t, h.PGRoot) || len(asides(t, h)) > 0 {
					t.Errorf("the data was not put back: %q", asides(t, h))
				}
				if diff := cmp.Diff(before, stateOf(t, h.StateFile())); diff != "" {
					t.Errorf("state (-before +now):\n%s", diff)
				}
				if j, err := h.Journal(); j != nil || err != nil {
					t.Errorf("journal %+v, %v", j, err)
				}
				if s := a.monitor.State(); s.Pending != nil || slots(t, a.server) != kept {
					t.Errorf("the active waits for %+v, with %d slots", s.Pending, slots(t, a.server))
				}
				if _, _, err := h.RunDB(t.Context()); err != nil {
					t.Errorf("the old data can not be started: %v", err)
				}
			})
		}
	}
}
