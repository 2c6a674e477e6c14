package rest

import (
	"testing"
	"time"

	"keytrustee/kms"
)

// TestHandoversForget: a number is known until its first report or its deadline, and no two are equal.
func TestHandoversForget(t *testing.T) {
	h := newHandovers(time.Millisecond)
	seen := map[uint64]bool{}
	for range 100 {
		seen[h.give((*kms.Hand)(nil))] = true
	}
	if len(seen) != 100 {
		t.Errorf("100 handovers have %d numbers", len(seen))
	}
	size := func() int {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.given)
	}
	for deadline := time.Now().Add(10 * time.Second); size() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d handovers are kept past their deadline", size())
		}
	}
	h = newHandovers(time.Hour)
	number := h.give((*kms.Hand)(nil))
	h.report(number+1, true)
	if size() != 1 {
		t.Error("a foreign number ended a handover")
	}
	h.report(number, true)
	h.report(number, true)
	if size() != 0 {
		t.Error("a handover is kept after its report")
	}
}
