package pairtest_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

// openWrites watches whether the pair takes writes.
type openWrites struct {
	mu   sync.Mutex
	shut []string // for which reasons it did not
	busy int      // how often a busy machine alone was why
}

// watchWrites begins to watch, until the test ends.
func watchWrites(t *testing.T, p *pairtest.Pair) *openWrites {
	t.Helper()
	w, ended, over := new(openWrites), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
			}
			reason, sentence := p.Active.Complaint(t)
			w.mu.Lock()
			switch {
			case reason == "":
			case slices.Contains(slow, reason):
				w.busy++
			default:
				w.shut = append(w.shut, reason+": "+sentence)
			}
			w.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		close(ended)
		<-over
		t.Logf("a busy machine kept writes shut in %d looks", w.busy)
	})
	return w
}

// word says whether writes were open since it was asked last.
func (w *openWrites) word(t *testing.T) string {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	shut := w.shut
	w.shut = nil
	if len(shut) > 0 {
		t.Errorf("writes were shut: %q", slices.Compact(shut))
		return "shut"
	}
	return "open"
}
