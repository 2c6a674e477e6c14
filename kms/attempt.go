package kms

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"
)

// applyTries is how often a change is made again that another change of the key overtook.
const applyTries = 5

// attempt makes the change, whoever may still wait for it. When it returns the outcome is known, or will never be.
func (s *Service) attempt(ctx context.Context, w write, a *attempt) {
	m, err := s.try(ctx, &w)
	switch {
	case errors.Is(err, ErrOutcomeUnknown):
		s.cache.invalidate()
	case err == nil && !m.repeat:
		s.cache.changed(w.name, m.change)
	}
	if err != nil {
		s.recordFailure(&w, err)
		s.repeats.resolve(a, made{}, err, nil)
		return
	}
	s.repeats.resolve(a, m, nil, s.recordSuccess(&w, m))
}

// recordSuccess puts a success on record. One that can not be recorded is not told, and is not refused either: the change is made, so
// the caller hears ErrOutcomeUnknown, and its repeat is given the success.
func (s *Service) recordSuccess(w *write, m made) error {
	e := w.event(AuditOK)
	e.Repeat = m.repeat
	if m.change.Kind == Rolled {
		e.Extra += " NewVersion:" + unquoted(KeyName(m.version))
	}
	if s.record(e) != nil {
		return ErrOutcomeUnknown
	}
	return nil
}

// try finds the change that was made under the request's id, or enters the gate and makes it.
func (s *Service) try(ctx context.Context, w *write) (made, error) {
	ctx, cancel := context.WithTimeout(ctx, s.WriteDeadline)
	defer cancel()
	if w.RequestID != "" {
		m, err := s.byRequest(ctx, w)
		if !errors.Is(err, ErrKeyNotFound) {
			return m, s.inTime(ctx, err)
		}
	}
	inside, leave, err := s.Gate.Enter(ctx)
	if err != nil {
		return made{}, err
	}
	defer leave()
	for try := 1; ; try++ {
		m, err := w.change(inside)
		if !errors.Is(err, ErrConflict) {
			return m, s.before(inside, err)
		}
		if try == applyTries {
			return made{}, s.busy("key " + w.name.Quoted() + " keeps changing")
		}
		select {
		case <-time.After(time.Duration(try) * 10 * time.Millisecond):
		case <-inside.Done():
		}
	}
}

// before gives an attempt that ended before COMMIT, because the gate shut or time ran out, its reason.
func (s *Service) before(inside context.Context, err error) error {
	if inside.Err() == nil || !(errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return err
	}
	if shut, ok := errors.AsType[*ReadOnlyError](context.Cause(inside)); ok {
		return shut
	}
	return s.inTime(inside, inside.Err())
}

// claim answers a delivery with the success of an earlier one: from the Store, opened anew, while it is the key's last
// change. If it is not, the delivery is a new attempt.
func (s *Service) claim(ctx context.Context, w *write, h *Hand) (made, *Hand, error) {
	m, err := s.claimed(ctx, w, h)
	if errors.Is(err, errAnew) {
		h.void()
		return made{}, nil, err
	}
	if err == nil {
		err = s.recordSuccess(w, m)
	} else {
		err = s.inTime(ctx, err)
		s.recordFailure(w, err)
	}
	if err != nil {
		h.Returned()
		return made{}, nil, err
	}
	return m, h, nil
}

func (s *Service) claimed(ctx context.Context, w *write, h *Hand) (made, error) {
	m := made{change: h.attempt.change, repeat: true}
	world, certain := s.Gate.World()
	if !certain {
		return made{}, s.shut(ctx)
	}
	if h.again {
		return s.handedAgain(ctx, m, h.attempt.world == world)
	}
	if !h.claimable(world, s.Now()) {
		return made{}, errAnew
	}
	k, err := s.stored(ctx, w.name)
	if errors.Is(err, ErrKeyNotFound) || err == nil && k.Last.ID != m.change.ID {
		return made{}, errAnew
	}
	if err != nil || m.change.Version.IsZero() {
		return m, err
	}
	v, err := s.Store.Current(ctx, k.ID)
	if err != nil {
		return made{}, err
	}
	return s.opened(m, v)
}

// handedAgain answers the very delivery that made the change. It is never a new attempt, whatever has become of the key.
func (s *Service) handedAgain(ctx context.Context, m made, sameWorld bool) (made, error) {
	if !sameWorld {
		return made{}, ErrOutcomeUnknown
	}
	if m.change.Version.IsZero() {
		return m, nil
	}
	m, err := s.withVersion(ctx, m)
	if errors.Is(err, ErrKeyNotFound) {
		err = ErrOutcomeUnknown // purged meanwhile
	}
	return m, err
}

// opened adds the version to m; it asks the Sealer, not the cache.
func (s *Service) opened(m made, v SealedVersion) (made, error) {
	material, err := s.Sealer.Open(v)
	if err != nil {
		return made{}, fmt.Errorf("opening version %s: %w", v.Name.Quoted(), err)
	}
	m.version, m.material = v.Name, material
	return m, nil
}

// byRequest returns the change that was made under the request's id, as long as it still stands. ErrKeyNotFound: there
// is none.
func (s *Service) byRequest(ctx context.Context, w *write) (made, error) {
	c, k, err := s.Store.ByRequest(ctx, w.RequestID)
	if err != nil {
		return made{}, err
	}
	m := made{change: c, repeat: true}
	if c.Kind != w.kind || c.By != w.Principal.By() || k.Name != w.name {
		return made{}, errOtherRequest
	}
	if err := stands(c, k); err != nil {
		return made{}, err
	}
	if c.Version.IsZero() {
		return m, nil
	}
	m, err = s.withVersion(ctx, m)
	if err == nil && !w.same(k, m.material) {
		err = errOtherRequest
	}
	return m, err
}

// withVersion adds the version that the change made.
func (s *Service) withVersion(ctx context.Context, m made) (made, error) {
	versions, err := s.Store.Versions(ctx, m.change.KeyID)
	if err != nil {
		return made{}, err
	}
	for _, v := range versions {
		if v.ID == m.change.Version {
			return s.opened(m, v)
		}
	}
	return made{}, fmt.Errorf("version %s: %w", m.change.Version, ErrVersionNotFound)
}

// stands returns nil if what c did to k has not been undone since.
func stands(c Change, k Key) error {
	gone := k.Deleted() || k.Last.Kind == Purged
	switch {
	case (c.Kind == Created) && k.Deleted():
		return &ExistsError{Name: k.Name, Key: &k}
	case (c.Kind == Created || c.Kind == Rolled || c.Kind == Undeleted) && gone,
		c.Kind == Deleted && !gone:
		return &InvalidError{Field: requestIDField, Reason: fmt.Sprintf(
			"was used for a request that was done at %s; the key was %s by %s at %s since; send a new one",
			stamp(c.At), k.Last.Kind, k.Last.By, stamp(k.Last.At))}
	}
	return nil
}

// sameMaterial reports whether a request that gave that material, or none, can have made the other.
func sameMaterial(given, stored Material) bool {
	return !given.Present() || subtle.ConstantTimeCompare(given.Bytes(), stored.Bytes()) == 1
}
