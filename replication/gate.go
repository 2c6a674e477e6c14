package replication

import (
	"context"
	"sync"
	"time"
)

// ClosedError refuses what has not been begun.
type ClosedError struct {
	Reason      Reason
	Host        string    // the host that the reason is about
	Since       time.Time // when the reason began; zero if unknown
	Sentence    string    // for people: what, which host, since when, what to do
	PeerAnswers bool      // the other host's daemon was heard less than two seconds ago
}

func (e *ClosedError) Error() string { return e.Sentence }

// Gate says whether a write may begin. It is open only for as long as the peer's last answer is good for: a host that was
// frozen finds it shut when it wakes, before anything else has run. It may be used concurrently.
type Gate struct {
	uptime func() time.Duration
	look   func() // opens or shuts the gate by what holds now

	mu     sync.Mutex // guards what follows
	until  time.Duration
	open   bool
	closed *ClosedError // never nil; while open, what is said once until has passed
	inside map[*entry]struct{}
	world  string
	claims bool
}

type entry struct{ cancel context.CancelCauseFunc }

func newGate(uptime func() time.Duration, look func(), closed *ClosedError) *Gate {
	return &Gate{uptime: uptime, look: look, closed: closed, inside: map[*entry]struct{}{}}
}

// Enter returns a context for what comes before COMMIT: it ends when ctx does or the gate shuts; context.Cause is then the
// *ClosedError. leave, which may be called more than once, says that this part is over. A shut gate returns its
// *ClosedError at once.
func (g *Gate) Enter(ctx context.Context) (inside context.Context, leave func(), err error) {
	g.refresh()
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.open || g.expired() {
		return nil, nil, g.closed
	}
	inside, cancel := context.WithCancelCause(ctx)
	e := &entry{cancel}
	g.inside[e] = struct{}{}
	return inside, func() {
		g.mu.Lock()
		delete(g.inside, e)
		g.mu.Unlock()
		cancel(context.Canceled)
	}, nil
}

// Closed returns why the gate is shut; nil while it is open.
func (g *Gate) Closed() *ClosedError {
	g.refresh()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open && !g.expired() {
		return nil
	}
	return g.closed
}

// refresh looks anew if nobody has since the gate was last good.
func (g *Gate) refresh() {
	g.mu.Lock()
	stale := g.open && g.expired()
	g.mu.Unlock()
	if stale {
		g.look()
	}
}

func (g *Gate) expired() bool { return g.uptime() > g.until }

// World names this node's duty and epoch: a claim on an earlier write holds only while it is the same. ok is false in the
// states in which not even a claim is answered.
func (g *Gate) World() (world string, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.world, g.claims
}

func (g *Gate) setWorld(world string, claims bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.world, g.claims = world, claims
}

// shut closes the gate and ends every context that Enter gave. It reports whether the gate was open.
func (g *Gate) shut(why *ClosedError) (was bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	was, g.open, g.closed = g.open, false, why
	for e := range g.inside {
		e.cancel(why)
	}
	clear(g.inside)
	return was
}

// admit opens the gate, or keeps it open, until that moment of the boot-time clock. after is what it says from then on.
func (g *Gate) admit(until time.Duration, after *ClosedError) (was bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	was, g.open, g.until, g.closed = g.open, true, until, after
	return was
}
