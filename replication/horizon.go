package replication

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"keytrustee/postgres"
)

// ErrWorldChanged ends a wait whose position means nothing any more: the passive is another, or this host was fenced.
// Whether the write is on both hosts is not known.
var ErrWorldChanged = errors.New("the pair is no longer the one in which the write was made")

// Horizon says when a write is done and what may be shown. It may be used concurrently.
type Horizon struct {
	state *StateFile
	// view returns what a reader may be told at this instant: nil when the data is whole, and whether anything may be shown.
	view func() (all, some bool, why *ClosedError)

	mu       sync.Mutex // guards what follows
	world    World
	position postgres.LSN // the highest that the peer has confirmed in this world
	waiting  map[*waiter]struct{}
	kick     chan struct{} // a write waits whose rows want proof
}

// waiter is a write that is committed here.
type waiter struct {
	xid     postgres.XID
	at      postgres.LSN
	rows    [][16]byte
	proven  bool
	claimed bool // somebody is proving its rows
	world   World
	done    chan error // holds one
}

func newHorizon(state *StateFile) *Horizon {
	return &Horizon{state: state, waiting: map[*waiter]struct{}{}, kick: make(chan struct{}, 1)}
}

// Await returns nil when the peer has flushed and replayed everything up to at, has read every row from its own PostgreSQL
// and opened it, and the state file says that the transaction may be shown: from then on Visibility shows it, also after
// any crash of this host. It returns ErrWorldChanged when that can not be known any more, otherwise it waits until ctx ends.
// at must cover the record of the transaction's commit.
func (h *Horizon) Await(ctx context.Context, xid postgres.XID, at postgres.LSN, rows [][16]byte) error {
	w := &waiter{xid: xid, at: at, rows: rows, proven: len(rows) == 0, done: make(chan error, 1)}
	if err := h.wait(ctx, w); err != nil {
		return err
	}
	for {
		err := h.acknowledge(w)
		if err == nil || errors.Is(err, ErrWorldChanged) {
			return err
		}
		// The state file can not be written at present; its Trouble says why, and shuts the gate.
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(heartbeat):
		}
	}
}

// reached returns nil when the peer has confirmed at.
func (h *Horizon) reached(ctx context.Context, at postgres.LSN) error {
	return h.wait(ctx, &waiter{at: at, proven: true, done: make(chan error, 1)})
}

func (h *Horizon) wait(ctx context.Context, w *waiter) error {
	h.mu.Lock()
	w.world = h.world
	h.waiting[w] = struct{}{}
	h.settleLocked()
	h.mu.Unlock()
	if len(w.rows) > 0 {
		nudge(h.kick)
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.waiting, w)
		return ctx.Err()
	}
}

// acknowledge persists that w's transaction may be shown.
func (h *Horizon) acknowledge(w *waiter) error {
	return h.state.Update(func(s *State) error {
		if s.Fenced != nil || s.Epoch != w.world.Epoch || s.SystemID != w.world.SystemID {
			return ErrWorldChanged
		}
		c := &s.Confirmed
		if c.Snapshot.Sees(w.xid) || slices.Contains(c.Acknowledged, w.xid) {
			if c.Position >= w.at {
				return errUnchanged
			}
		} else {
			c.Acknowledged = append(c.Acknowledged, w.xid)
		}
		c.Position = max(c.Position, w.at)
		return nil
	})
}

// Visibility says which transactions a reader may be shown. With an error, a *ClosedError, it is not complete: what it shows
// may be served, what it does not show may exist all the same. It holds for the start of PostgreSQL that it was asked in, so
// who is about to say "absent" asks again after having looked.
func (h *Horizon) Visibility() (postgres.Visibility, error) {
	all, some, why := h.view()
	var v postgres.Visibility
	switch {
	case all:
		v.All = true
	case some:
		c := h.state.Current().Confirmed
		v.Snapshot, v.Acknowledged = c.Snapshot, c.Acknowledged
	}
	if why != nil {
		return v, why
	}
	return v, nil
}

// Waiting is how many writes wait for the peer.
func (h *Horizon) Waiting() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for w := range h.waiting {
		if w.xid != 0 {
			n++
		}
	}
	return n
}

// Confirmed is the highest position that the peer has confirmed in this world.
func (h *Horizon) Confirmed() postgres.LSN {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.position
}

// covering is the highest position that the passive of s has confirmed, once it covers everything that was ever acknowledged or shown; zero
// until then, and while the world is not that of s. A copy that has joined while others went on lacks what they acknowledged; from its
// first such position on it lacks nothing, for whatever is acknowledged later it has confirmed itself.
func (h *Horizon) covering(s State) postgres.LSN {
	h.mu.Lock()
	defer h.mu.Unlock()
	w := h.world
	if s.Peer == nil || w.SystemID != s.SystemID || w.Epoch != s.Epoch || w.Incarnation != s.Peer.Incarnation || h.position < s.Confirmed.Position {
		return 0
	}
	return h.position
}

// enter makes w the world. If it was another, no position holds any more and every write that waits is unknown.
func (h *Horizon) enter(w World) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.world == w {
		return
	}
	first := h.world == World{}
	h.world, h.position = w, 0
	if !first {
		h.abandonLocked()
		return
	}
	for waiting := range h.waiting { // from before the world was known
		waiting.world = w
	}
}

// abandon makes every write that waits unknown.
func (h *Horizon) abandon() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.abandonLocked()
}

func (h *Horizon) abandonLocked() {
	for w := range h.waiting {
		w.done <- ErrWorldChanged
	}
	clear(h.waiting)
}

// confirm notes that the peer has flushed and replayed everything up to at, in world w.
func (h *Horizon) confirm(w World, at postgres.LSN) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if w == h.world && at > h.position {
		h.position = at
		h.settleLocked()
	}
}

// unproven is how many writes wait whose rows nobody is proving.
func (h *Horizon) unproven() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for w := range h.waiting {
		if !w.proven && !w.claimed {
			n++
		}
	}
	return n
}

// claim returns the world, and at most that many writes whose rows the caller now proves: it calls prove for them.
func (h *Horizon) claim(most int) (World, []*waiter) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var ws []*waiter
	for w := range h.waiting {
		if !w.proven && !w.claimed && len(ws) < most {
			w.claimed = true
			ws = append(ws, w)
		}
	}
	return h.world, ws
}

// prove notes whether the peer has proven the rows of ws; if not, they can be claimed again.
func (h *Horizon) prove(ws []*waiter, proven bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range ws {
		w.proven, w.claimed = proven, false
	}
	h.settleLocked()
}

// settleLocked lets go the writes that the peer has proven and confirmed.
func (h *Horizon) settleLocked() {
	for w := range h.waiting {
		if w.proven && w.at <= h.position {
			delete(h.waiting, w)
			w.done <- nil
		}
	}
}
