package kms

import (
	"errors"
	"slices"
)

var (
	errFull         = errors.New("too many writes are waiting")
	errOtherRequest = &InvalidError{Field: requestIDField, Reason: "was used for another request; send a new one"}
)

// made is a change that was made, and the version that it made if any.
type made struct {
	change   Change
	version  VersionName
	material Material
	repeat   bool // an earlier delivery made it
}

// resolve ends the attempt: err says that nothing was changed, or that nobody can know any more. withheld is the reason
// why the delivery that made the change may not have the success; the next one may.
func (r *repeats) resolve(a *attempt, m made, err, withheld error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.names, a.name)
	delete(r.requests, a.requestID)
	a.change, a.resolvedAt = m.change, r.now()
	close(a.resolved)

	owner := a.owner
	a.owner = nil
	switch {
	case err != nil:
		r.endLocked(a, func(s *seat) {
			if s == owner || errors.Is(err, ErrOutcomeUnknown) {
				s.err = err
			}
		})
	case a.requestID != "": // from now on the Store answers for it
		r.endLocked(a, func(s *seat) { s.made, s.err = &m, withheld })
	default:
		if owner != nil {
			owner.made = &m
			if withheld != nil {
				owner.err = withheld
				a.dropSeat(owner)
				close(owner.wake)
			}
		}
		r.grantLocked(a)
	}
}

// grantLocked puts a success that is in no hand into that of the oldest delivery that waits.
func (r *repeats) grantLocked(a *attempt) {
	if len(a.seats) == 0 {
		return
	}
	oldest := a.seats[0]
	for _, s := range a.seats {
		if s.age < oldest.age {
			oldest = s
		}
	}
	a.dropSeat(oldest)
	a.holder = r.newHand(a, oldest.id)
	oldest.hand = a.holder
	close(oldest.wake)
}

// endLocked takes the attempt off the table and wakes all who wait for it.
func (r *repeats) endLocked(a *attempt, say func(*seat)) {
	if r.attempts[a.identity] == a {
		delete(r.attempts, a.identity)
	}
	for _, s := range a.seats {
		if say != nil {
			say(s)
		}
		close(s.wake)
	}
	a.seats = nil
}

// tellLocked ends an attempt as told. The delivery in whose hand it was may ask for it again, for a while.
func (r *repeats) tellLocked(a *attempt) {
	a.toldAt = r.now()
	if h := a.holder; h != nil && h.delivery != "" {
		for len(r.toldOrder) > 0 && (len(r.toldOrder) >= maxAskedAgain || a.toldAt.Sub(r.toldOrder[0].toldAt) > askAgain) {
			r.forgetToldLocked(r.toldOrder[0])
			r.toldOrder = r.toldOrder[1:]
		}
		r.told[h.delivery] = a
		r.toldOrder = append(r.toldOrder, a)
	}
	r.endLocked(a, nil)
}

func (r *repeats) forgetToldLocked(a *attempt) {
	if h := a.holder; h != nil && r.told[h.delivery] == a {
		delete(r.told, h.delivery)
	}
}

// roomLocked makes room for one more attempt of the principal: it gives up a success of the principal itself if that has
// its share, or else of whoever has most. The oldest that is in no hand goes first.
func (r *repeats) roomLocked(principal string) bool {
	if len(r.attempts) < maxAttemptsPrincipal {
		return true
	}
	count := map[string]int{}
	for _, a := range r.attempts {
		count[a.principal]++
	}
	whose := principal
	if count[principal] < maxAttemptsPrincipal {
		if len(r.attempts) < maxAttempts {
			return true
		}
		for p, n := range count {
			if n > count[whose] {
				whose = p
			}
		}
	}
	var victim *attempt
	for _, a := range r.attempts {
		if a.principal == whose && !a.resolvedAt.IsZero() && (victim == nil || a.cheaperThan(victim)) {
			victim = a
		}
	}
	if victim == nil {
		return false
	}
	r.tellLocked(victim)
	return true
}

func (a *attempt) cheaperThan(b *attempt) bool {
	if free := a.holder == nil; free != (b.holder == nil) {
		return free
	}
	return a.resolvedAt.Before(b.resolvedAt)
}

// dropSeat reports whether the seat was there.
func (a *attempt) dropSeat(s *seat) bool {
	i := slices.Index(a.seats, s)
	if i < 0 {
		return false
	}
	a.seats = slices.Delete(a.seats, i, i+1)
	return true
}
