package kms

import (
	"sync"
	"time"
)

// The bounds of the table of attempts. What falls out of it counts as told.
const (
	maxAttempts          = 1024 // in all; as many deliveries may wait
	maxAttemptsPrincipal = 64   // of one principal; as many of its deliveries may wait

	claimRoll     = 60 * time.Second // after the roll's first delivery
	claimOthers   = 10 * time.Minute // after their resolution
	askAgain      = time.Minute      // a told result is kept for the delivery that it was handed to
	maxAskedAgain = 1024
)

// repeats knows the writes of whose success nobody has been told, so that a write delivered again is the same write. It
// holds no key material. docs/repeats.md has the rule, and says why each clause is there.
type repeats struct {
	now func() time.Time

	mu        sync.Mutex // for map operations only
	attempts  map[identity]*attempt
	names     map[KeyName]*attempt // the unresolved ones: a key has one at a time
	requests  map[string]*attempt  // the unresolved ones with a request's id, by it
	told      map[string]*attempt  // by the delivery that was told, for askAgain
	toldOrder []*attempt
	waiting   map[string]int // deliveries that wait, by principal
	waitTotal int
	age       uint64
}

// identity is equal for two deliveries only if they are the same write of the same caller.
type identity [32]byte

// delivery is what the table knows of one delivery of a write.
type delivery struct {
	identity   identity
	kind       ChangeKind
	name       KeyName
	requestID  string
	deliveryID string
	again      bool
	principal  string // whose share of the table it takes
	world      string
	age        uint64
}

// attempt is a write from its first delivery until somebody is told of its success.
type attempt struct {
	delivery
	first    time.Time     // of its first delivery
	resolved chan struct{} // closed when the outcome is known

	// Guarded by repeats.mu. change and resolvedAt are set before resolved is closed and stay.
	change     Change
	resolvedAt time.Time         // zero while unresolved
	holder     *Hand             // the hand that the success is in
	seats      []*seat           // deliveries that wait for the success
	owner      *seat             // the one that makes the attempt, nil once it is gone
	places     map[string]uint64 // ages of deliveries that left, should the other host send them again
	toldAt     time.Time
}

// seat is where a delivery waits. wake is closed when one of the other fields says why.
type seat struct {
	attempt *attempt
	age     uint64
	id      string // the delivery's
	wake    chan struct{}
	hand    *Hand // it may have the success
	made    *made // with hand: the success, if this delivery made it
	err     error // it ends; neither hand nor err: it begins anew
}

// turn is what arrive has for a delivery; exactly one of hand, seat and ahead is set.
type turn struct {
	hand  *Hand    // the success of an earlier delivery, to be claimed
	seat  *seat    // wait here
	own   bool     // seat is of the one that makes the attempt
	ahead *attempt // wait until it is resolved, then arrive again
	like  bool     // ahead is the same write
}

func newRepeats(now func() time.Time) *repeats {
	return &repeats{now: now, attempts: map[identity]*attempt{}, names: map[KeyName]*attempt{},
		requests: map[string]*attempt{}, told: map[string]*attempt{}, waiting: map[string]int{}}
}

// nextAge returns a number greater than that of every delivery before.
func (r *repeats) nextAge() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.age++
	return r.age
}

// arrive finds the place of a delivery. It returns an *InvalidError if the request's id is another write's, ErrOutcomeUnknown if it was sent
// before and its place is not known, and errFull.
// A turn that is no hand is ended by leave.
func (r *repeats) arrive(d delivery) (turn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if d.requestID != "" {
		if a := r.requests[d.requestID]; a != nil {
			if a.identity != d.identity {
				return turn{}, errOtherRequest
			}
			return r.queueLocked(d, turn{ahead: a, like: true})
		}
	} else if t, ok := r.likeLocked(d); ok {
		if t.hand != nil {
			return t, nil
		}
		return r.queueLocked(d, t)
	} else if d.again { // it may have been attempted before this process began, or before the table forgot it
		return turn{}, ErrOutcomeUnknown
	}
	if a := r.names[d.name]; a != nil {
		return r.queueLocked(d, turn{ahead: a})
	}
	if !r.roomLocked(d.principal) {
		return turn{}, errFull
	}
	a := &attempt{delivery: d, first: r.now(), resolved: make(chan struct{})}
	a.owner = &seat{attempt: a, age: d.age, id: d.deliveryID, wake: make(chan struct{})}
	a.seats = []*seat{a.owner}
	r.attempts[d.identity], r.names[d.name] = a, a
	if d.requestID != "" {
		r.requests[d.requestID] = a
	}
	return turn{seat: a.owner, own: true}, nil
}

// likeLocked looks for an attempt whose success d may have.
func (r *repeats) likeLocked(d delivery) (turn, bool) {
	again := func(a *attempt) bool { return d.deliveryID != "" && a != nil && a.identity == d.identity }
	if a := r.told[d.deliveryID]; again(a) {
		return turn{hand: &Hand{repeats: r, attempt: a, delivery: d.deliveryID, again: true}}, true
	}
	a := r.attempts[d.identity]
	if a == nil {
		return turn{}, false
	}
	if h := a.holder; h != nil && again(a) && h.delivery == d.deliveryID {
		a.holder = &Hand{repeats: r, attempt: a, delivery: d.deliveryID, again: true} // what is said of h counts no more
		return turn{hand: a.holder}, true
	}
	s := &seat{attempt: a, age: d.age, id: d.deliveryID, wake: make(chan struct{})}
	for i, old := range a.seats {
		if again(a) && old.id == d.deliveryID {
			s.age, a.seats[i] = old.age, s
			if a.owner == old {
				a.owner = nil
			}
			old.err = ErrOutcomeUnknown
			close(old.wake)
			return turn{seat: s}, true
		}
	}
	if !a.resolvedAt.IsZero() && a.holder == nil {
		a.holder = r.newHand(a, d.deliveryID)
		return turn{hand: a.holder}, true
	}
	if age, ok := a.places[d.deliveryID]; ok {
		s.age = age
	}
	a.seats = append(a.seats, s)
	return turn{seat: s}, true
}

// queueLocked counts a delivery that is going to wait.
func (r *repeats) queueLocked(d delivery, t turn) (turn, error) {
	r.waiting[d.principal]++
	r.waitTotal++
	if r.waiting[d.principal] <= maxAttemptsPrincipal && r.waitTotal <= maxAttempts {
		return t, nil
	}
	r.leaveLocked(d, t)
	return turn{}, errFull
}

// leave ends the delivery's waiting. ok reports whether its seat was woken; then its fields may be read.
func (r *repeats) leave(d delivery, t turn) (ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.leaveLocked(d, t)
}

func (r *repeats) leaveLocked(d delivery, t turn) (woken bool) {
	if !t.own {
		r.waitTotal--
		if r.waiting[d.principal]--; r.waiting[d.principal] == 0 {
			delete(r.waiting, d.principal)
		}
	}
	if t.seat == nil {
		return false
	}
	a, s := t.seat.attempt, t.seat
	if !a.dropSeat(s) {
		return true
	}
	if a.owner == s {
		a.owner = nil
	}
	if s.id != "" && len(a.places) < maxAttemptsPrincipal {
		if a.places == nil {
			a.places = map[string]uint64{}
		}
		a.places[s.id] = s.age
	}
	return false
}
