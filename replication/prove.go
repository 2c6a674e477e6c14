package replication

import (
	"context"
	"crypto/hmac"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"keytrustee/postgres"
)

const (
	rootPace     = 20 * time.Second // between proofs of the root keys; a third of their limit
	rootRetry    = time.Second
	rootLimit    = 10 * time.Second // an HSM may take its time
	rowsLimit    = 1500 * time.Millisecond
	rowsRetry    = 100 * time.Millisecond
	rowsAtOnce   = 256
	batchesAtMax = 2 // under way; what comes meanwhile shares the next
)

// proveRoots lets both hosts open the key-encryption key from their root keys, again and again.
func (m *Monitor) proveRoots(ctx context.Context) {
	var last time.Duration
	for m.pause(ctx, rootRetry/4) {
		state := m.state.Current()
		m.mu.Lock()
		pace := rootPace
		if m.facts.rootErr != "" || m.facts.rootAt == 0 {
			pace = rootRetry
		}
		m.mu.Unlock()
		began := m.uptime()
		if state.Duty != Active || state.Peer == nil || !m.PeerAnswers() || last != 0 && began < last+pace {
			continue
		}
		last = began
		proven, trouble := m.proveRoot(ctx, *state.Peer)
		if ctx.Err() != nil {
			return
		}
		m.mu.Lock()
		m.facts.rootErr = trouble
		if proven {
			m.facts.rootAt = began
		}
		m.mu.Unlock()
		nudge(m.wake)
	}
}

// proveRoot reports whether both hosts have proven their root key. trouble is not empty if one of them can not; a peer that
// does not answer is no trouble, its last proof grows old.
func (m *Monitor) proveRoot(ctx context.Context, peer Peer) (proven bool, trouble string) {
	ctx, cancel := context.WithTimeout(ctx, rootLimit)
	defer cancel()
	nonce, state := newNonce(), m.state.Current()
	mine, err := m.prover.ProveRoot(ctx, bind(nonce, state.Epoch, peer.Name, 0))
	if err != nil {
		return false, "{self}: " + err.Error()
	}
	a, err := m.ask(ctx, peer, Ask{Nonce: nonce, Challenge: true}, rootLimit)
	switch {
	case err != nil:
		m.mu.Lock()
		defer m.mu.Unlock()
		return false, m.facts.rootErr
	case a.RootError != "":
		return false, "{peer}: " + a.RootError
	case len(mine) == 0 || !hmac.Equal(mine, a.Root):
		return false, "{self} and {peer} open different keys"
	}
	return true, ""
}

// proveRows asks the peer to prove the rows of writes that wait, one round trip for all that wait at one time.
func (m *Monitor) proveRows(ctx context.Context) {
	slots := make(chan struct{}, batchesAtMax)
	defer func() {
		for range batchesAtMax {
			slots <- struct{}{}
		}
	}()
	var said atomic.Value // the last failure, so that each is logged once
	said.Store("")
	for m.pauseOr(ctx, rowsRetry, m.horizon.kick) {
		peer := m.state.Current().Peer
		if m.horizon.unproven() == 0 || peer == nil || !m.PeerAnswers() {
			continue
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		world, ws := m.horizon.claim(rowsAtOnce) // also those that came while there was no slot
		go func() {
			defer func() { <-slots }()
			ok, err := m.proveBatch(ctx, *peer, world, ws)
			m.horizon.prove(ws, ok)
			text := ""
			if err != nil {
				text = err.Error()
			}
			if said.Swap(text) != text && text != "" && ctx.Err() == nil {
				m.log.Warn("the passive has not proven rows", "writes", len(ws), "error", text)
			}
		}()
	}
}

// proveBatch reports whether the peer has read and opened the rows of ws, in that world, at a position that covers them.
func (m *Monitor) proveBatch(ctx context.Context, peer Peer, world World, ws []*waiter) (bool, error) {
	if len(ws) == 0 {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, rowsLimit)
	defer cancel()
	var rows [][16]byte
	var at postgres.LSN
	for _, w := range ws {
		rows, at = append(rows, w.rows...), max(at, w.at)
	}
	nonce := newNonce()
	bound := bind(nonce, world.Epoch, peer.Name, at)
	type result struct {
		proofs [][]byte
		err    error
	}
	own := make(chan result, 1)
	go func() {
		proofs, err := m.prover.Prove(ctx, rows, bound)
		own <- result{proofs, err}
	}()
	a, err := m.ask(ctx, peer, Ask{Nonce: nonce, Rows: rows, At: at}, rowsLimit)
	mine := <-own
	switch {
	case err != nil:
		return false, err
	case mine.err != nil:
		return false, fmt.Errorf("proving rows on this host: %w", mine.err)
	case a.RowsError != "":
		return false, fmt.Errorf("proving rows on %s: %s", peer.Name, a.RowsError)
	case len(mine.proofs) != len(rows) || !slices.EqualFunc(mine.proofs, a.Rows, hmac.Equal):
		m.mu.Lock()
		m.facts.rootErr = "{peer} opens a row to something else than {self}"
		m.mu.Unlock()
		return false, fmt.Errorf("the proofs of %s and of this host differ", peer.Name)
	}
	if w, ok := m.believable(m.state.Current(), a); !ok || w != world || a.position() < at {
		return false, fmt.Errorf("the answer of %s is not of the world in which the rows were written", peer.Name)
	}
	return true, nil
}
