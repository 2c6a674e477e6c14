package kms

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// requestIDField is what a client calls the request's id.
const requestIDField = "X-Keytrustee-Request-Id"

// Call is one delivery of a write.
type Call struct {
	Principal  Principal
	RequestID  string // requestIDField; empty: none was sent
	DeliveryID string // names this delivery between the hosts; a delivery that is sent again keeps it; may be empty
	Again      bool   // it was sent before, and nobody knows what came of it
	Body       []byte // the decoded body in canonical form: two bodies that mean the same are equal
}

// write is a delivery on its way through the Service.
type write struct {
	Call
	kind    ChangeKind
	op      AuditOp
	name    KeyName
	extra   string // of the audit lines
	auditID string // ties the attempt to its outcome

	// allow decides with the rights of now.
	allow func(context.Context) error
	// change reads what it needs and makes the change, once. ErrConflict makes it be called again.
	change func(context.Context) (made, error)
	// same reports whether the change of that key may come from a request with this body. The version is the one that
	// the change made.
	same func(Key, Material) bool
}

// deliver takes a delivery through the rule of repeats. When it returns without an error the change is durable and proven
// on both hosts, on record, and its success is in the Hand; a write with a request's id needs none, and has a nil Hand.
func (s *Service) deliver(ctx context.Context, w *write) (made, *Hand, error) {
	if err := validRequestID(w.RequestID); err != nil {
		return made{}, nil, err
	}
	w.auditID = w.RequestID
	if w.auditID == "" {
		w.auditID = w.DeliveryID
	}
	if w.auditID == "" {
		w.auditID = NewID().String()
	}
	ctx, cancel := context.WithTimeout(ctx, s.WriteDeadline)
	defer cancel()

	d := delivery{
		identity: s.identity(w), kind: w.kind, name: w.name, requestID: w.RequestID, deliveryID: w.DeliveryID, again: w.Again,
		principal: w.Principal.Identity(), age: s.repeats.nextAge(),
	}
	behind := time.NewTimer(behindAnother)
	defer behind.Stop()
	for recorded := false; ; {
		if err := w.allow(ctx); err != nil {
			return made{}, nil, s.inTime(ctx, err)
		}
		if !recorded {
			if err := s.record(w.event(AuditAttempt)); err != nil {
				return made{}, nil, err
			}
			recorded = true
		}
		m, h, err := s.turn(ctx, w, d, behind.C)
		if !errors.Is(err, errAnew) {
			return m, h, err
		}
	}
}

// behindAnother is how long a delivery waits for other changes of its key before it is refused: a refusal is promised within 2 s.
const behindAnother = 1500 * time.Millisecond

// errAnew: the delivery is a new attempt, with the rights of now.
var errAnew = errors.New("deliver anew")

// turn is one time round the table of attempts. Its outcome is on record. behind ends its waiting for another change of the key.
func (s *Service) turn(ctx context.Context, w *write, d delivery, behind <-chan time.Time) (made, *Hand, error) {
	fail := func(err error) (made, *Hand, error) {
		s.recordFailure(w, err)
		return made{}, nil, err
	}
	world, certain := s.Gate.World()
	if !certain {
		return fail(s.shut(ctx))
	}
	d.world = world
	t, err := s.repeats.arrive(d)
	if errors.Is(err, errFull) {
		return fail(s.busy(err.Error()))
	}
	if err != nil {
		return fail(err)
	}
	switch {
	case t.hand != nil:
		return s.claim(ctx, w, t.hand)
	case t.own:
		s.attempts.Go(func() { s.attempt(context.WithoutCancel(ctx), *w, t.seat.attempt) })
	default:
		if err := s.mayWait(ctx, t); err != nil {
			if s.repeats.leave(d, t) {
				return s.woken(ctx, w, t)
			}
			return fail(err)
		}
	}
	if t.ahead != nil {
		err := s.waitBehind(ctx, w, t, behind)
		s.repeats.leave(d, t)
		if errors.Is(err, errAnew) {
			return made{}, nil, err
		}
		return fail(err)
	}
	select {
	case <-t.seat.wake:
	case <-ctx.Done():
	}
	if !s.repeats.leave(d, t) {
		return fail(ErrOutcomeUnknown)
	}
	return s.woken(ctx, w, t)
}

// waitBehind waits until the change of the key that is under way is resolved: errAnew. Nothing was attempted with any other error but
// ErrOutcomeUnknown, which it is only where the two may be the same write.
func (s *Service) waitBehind(ctx context.Context, w *write, t turn, behind <-chan time.Time) error {
	if t.like {
		behind = nil // not to be told of it is no refusal
	}
	select {
	case <-t.ahead.resolved:
		return errAnew
	case <-behind:
	case <-ctx.Done():
		if t.like {
			return ErrOutcomeUnknown
		}
	}
	return s.busy("another change of key " + w.name.Quoted() + " is not confirmed yet")
}

// woken says what became of a delivery that waited in its seat.
func (s *Service) woken(ctx context.Context, w *write, t turn) (made, *Hand, error) {
	switch seat := t.seat; {
	case seat.err != nil:
		if !t.own {
			s.recordFailure(w, seat.err)
		}
		return made{}, nil, seat.err
	case seat.made != nil && (seat.hand != nil || w.RequestID != ""):
		return *seat.made, seat.hand, nil
	case seat.hand != nil:
		return s.claim(ctx, w, seat.hand)
	default:
		return made{}, nil, errAnew
	}
}

// mayWait refuses to wait while the gate is shut: the outcome may be long in coming.
func (s *Service) mayWait(ctx context.Context, t turn) error {
	if t.seat != nil && t.seat.attempt.isResolved() {
		return nil // only for the hand that the success is in
	}
	err := s.MayWrite(ctx)
	if err != nil && (t.seat != nil || t.like) {
		return ErrOutcomeUnknown
	}
	return err
}

// MayWrite returns nil while the gate is open, and otherwise its *ReadOnlyError.
func (s *Service) MayWrite(ctx context.Context) error {
	_, leave, err := s.Gate.Enter(ctx)
	if err == nil {
		leave()
	}
	return err
}

func (a *attempt) isResolved() bool {
	select {
	case <-a.resolved:
		return true
	default:
		return false
	}
}

// shut returns why the gate refuses in a state in which not even a claim is answered.
func (s *Service) shut(ctx context.Context) error {
	if err := s.MayWrite(ctx); err != nil {
		return err
	}
	return &ReadOnlyError{Reason: ReasonStarting, Host: s.Host, Since: s.Now(), Remedy: ElsewherePeer,
		Sentence: "refused: host " + s.Host + " is not certain of its state yet; try again"}
}

// inTime gives a reading that ran out of time a name.
func (s *Service) inTime(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return s.busy("the database did not answer in time")
	}
	return err
}

func (w *write) event(result AuditResult) Event {
	return Event{Result: result, Op: w.op, Key: w.name, Principal: w.Principal, RequestID: w.auditID, Extra: w.extra}
}

// recordFailure puts on record how an attempt ended without a success; the caller is refused anyway.
func (s *Service) recordFailure(w *write, err error) {
	e := w.event(AuditError)
	if errors.Is(err, ErrOutcomeUnknown) {
		e.Result = AuditUnknown
	}
	e.Err = err.Error()
	s.record(e)
}

// identity is an HMAC under a key of this process, since the body may hold material.
func (s *Service) identity(w *write) (id identity) {
	h := hmac.New(sha256.New, s.macKey[:])
	for _, part := range [][]byte{[]byte(w.Principal.Identity()), []byte(w.kind), []byte(w.name), []byte(w.RequestID), w.Body} {
		binary.Write(h, binary.BigEndian, uint64(len(part)))
		h.Write(part)
	}
	h.Sum(id[:0])
	return id
}

func validRequestID(id string) error {
	if len(id) > 128 {
		return &InvalidError{Field: requestIDField, Reason: "has more than 128 characters; send a UUID"}
	}
	for _, r := range id {
		if r <= ' ' || r > '~' {
			return &InvalidError{Field: requestIDField, Reason: fmt.Sprintf("contains %q; send a UUID", r)}
		}
	}
	return nil
}
