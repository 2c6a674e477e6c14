package kms

import "time"

// Hand is a success on its way to a client; it is in one hand at a time. Exactly one of Told and Returned takes effect,
// and only its first call. A nil Hand takes both and does nothing. Whoever is in doubt calls Told.
type Hand struct {
	repeats  *repeats
	attempt  *attempt
	delivery string // the delivery in whose hand it is
	again    bool   // that delivery made the change, or had it in its hand before
}

func (r *repeats) newHand(a *attempt, delivery string) *Hand {
	return &Hand{repeats: r, attempt: a, delivery: delivery, again: delivery != "" && delivery == a.deliveryID}
}

// Told says that the client may know: the first byte of its 2xx was passed to the kernel, or nobody can say. Afterwards
// nobody else is given this success.
func (h *Hand) Told() {
	if h == nil {
		return
	}
	h.repeats.mu.Lock()
	defer h.repeats.mu.Unlock()
	if h.holdsLocked() {
		h.repeats.tellLocked(h.attempt)
	}
}

// Returned says that the client can not know: it was seen gone before a byte of its 2xx was written. The success goes to
// the next delivery of the same write.
func (h *Hand) Returned() {
	if h == nil {
		return
	}
	h.repeats.mu.Lock()
	defer h.repeats.mu.Unlock()
	if h.holdsLocked() {
		h.attempt.holder = nil
		h.repeats.grantLocked(h.attempt)
	}
}

// void says that the success can not be claimed any more: the key has changed since, or too much time has passed.
func (h *Hand) void() {
	h.repeats.mu.Lock()
	defer h.repeats.mu.Unlock()
	if h.holdsLocked() {
		h.repeats.tellLocked(h.attempt)
	}
	h.repeats.forgetToldLocked(h.attempt)
}

// claimable reports whether the success may still be claimed, in that world and at that time.
func (h *Hand) claimable(world string, now time.Time) bool {
	h.repeats.mu.Lock()
	defer h.repeats.mu.Unlock()
	a := h.attempt
	switch {
	case a.world != world:
		return false
	case !a.toldAt.IsZero() && now.Sub(a.toldAt) > askAgain:
		return false
	case a.kind == Rolled:
		return now.Sub(a.first) <= claimRoll
	default:
		return now.Sub(a.resolvedAt) <= claimOthers
	}
}

// holdsLocked reports whether the success is in this hand still.
func (h *Hand) holdsLocked() bool { return h.attempt.holder == h && h.attempt.toldAt.IsZero() }
