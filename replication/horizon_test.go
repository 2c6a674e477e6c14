package replication

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"keytrustee/postgres"
)

// waitFor starts Await and returns once the horizon knows of it.
func waitFor(t *testing.T, h *Horizon, xid postgres.XID, at postgres.LSN, rows ...[16]byte) <-chan error {
	t.Helper()
	before := h.Waiting()
	done := make(chan error, 1)
	go func() { done <- h.Await(t.Context(), xid, at, rows) }()
	for h.Waiting() == before && len(done) == 0 {
		time.Sleep(time.Millisecond)
	}
	return done
}

func pending(t *testing.T, done <-chan error) {
	t.Helper()
	select {
	case err := <-done:
		t.Fatalf("it ended: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
}

func TestAwait(t *testing.T) {
	f, _ := newState(t)
	h := newHorizon(f)
	s := f.Current()
	world := World{s.SystemID, 1, s.Epoch, "copy"}
	h.enter(world)
	row := [16]byte{1}

	done := waitFor(t, h, 10, 500, row)
	h.confirm(world, 600)
	pending(t, done) // confirmed, not proven
	w, ws := h.claim(8)
	if w != world || len(ws) != 1 || ws[0].rows[0] != row || h.unproven() != 0 {
		t.Fatalf("claimed %v in %v", ws, w)
	}
	h.prove(ws, false)
	pending(t, done)
	if _, ws = h.claim(8); len(ws) != 1 {
		t.Fatal("a failed proof is not asked for again")
	}
	h.prove(ws, true)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if c := f.Current().Confirmed; !slices.Contains(c.Acknowledged, 10) || c.Position != 500 {
		t.Errorf("on the disk: %+v", c)
	}

	done = waitFor(t, h, 11, 700, row)
	_, ws = h.claim(8)
	h.prove(ws, true)
	pending(t, done) // proven, not confirmed
	other := world
	other.Incarnation = "another copy"
	h.confirm(other, 9000)
	pending(t, done) // confirmed in another world
	h.enter(other)
	if err := <-done; !errors.Is(err, ErrWorldChanged) {
		t.Errorf("after a change of the world: %v", err)
	}
	if h.Confirmed() != 0 {
		t.Errorf("position %s was taken along", h.Confirmed())
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Await(ctx, 12, 700, nil); !errors.Is(err, context.Canceled) || h.Waiting() != 0 {
		t.Errorf("%v, %d waiting", err, h.Waiting())
	}

	// Fenced between the proof and the disk: never acknowledged.
	done = waitFor(t, h, 13, 800, row)
	if err := f.Update(func(s *State) error { s.Fenced = &Fence{Reason: Fenced}; return nil }); err != nil {
		t.Fatal(err)
	}
	_, ws = h.claim(8)
	h.prove(ws, true)
	h.confirm(other, 900)
	if err := <-done; !errors.Is(err, ErrWorldChanged) {
		t.Errorf("acknowledged by a fenced host: %v", err)
	}
	if slices.Contains(f.Current().Confirmed.Acknowledged, 13) {
		t.Error("a fenced host persisted an acknowledgement")
	}
}

// TestQuiet: an idle pair persists its snapshot once; anything but a canary is news.
// TestAwaitOutlivesAFullDisk: a write that both hosts have stays one that waits while the state file can not say so.
func TestAwaitOutlivesAFullDisk(t *testing.T) {
	f, path := newState(t)
	h := newHorizon(f)
	s := f.Current()
	world := World{s.SystemID, 1, s.Epoch, "copy"}
	h.enter(world)
	if err := os.Rename(filepath.Dir(path), filepath.Dir(path)+".away"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- h.Await(t.Context(), 10, 500, nil) }()
	h.confirm(world, 600)
	for f.Trouble() == "" {
		time.Sleep(time.Millisecond)
	}
	pending(t, done)
	if err := os.Rename(filepath.Dir(path)+".away", filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if c := f.Current().Confirmed; !slices.Contains(c.Acknowledged, 10) {
		t.Errorf("on the disk: %+v", c)
	}
}

func TestQuiet(t *testing.T) {
	snap := func(min, max postgres.XID, running ...postgres.XID) postgres.Snapshot {
		return postgres.Snapshot{Xmin: min, Xmax: max, Running: running}
	}
	var q quiet
	for i, step := range []struct {
		c    canary
		same bool
	}{
		{canary{snapshot: snap(5, 5), xid: 5}, false},
		{canary{snapshot: snap(6, 6), xid: 6}, true},
		{canary{snapshot: snap(7, 7), xid: 7}, true},
		{canary{snapshot: snap(9, 9), xid: 9}, false},        // 8 was somebody's
		{canary{snapshot: snap(10, 11, 10), xid: 11}, false}, // 10 runs
		{canary{snapshot: snap(12, 12), xid: 12}, false},
		{canary{snapshot: snap(13, 13), xid: 14}, false}, // 13 began between the snapshot and the canary
		{canary{snapshot: snap(15, 15), xid: 15}, false},
	} {
		if got := q.nothingNew(step.c); got != step.same {
			t.Errorf("step %d: nothing new %v, want %v", i, got, step.same)
		}
	}
}
