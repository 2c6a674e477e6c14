package replication

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

// watchServer asks this host's PostgreSQL, again and again.
func (m *Monitor) watchServer(ctx context.Context) {
	for {
		m.lookAtServer(ctx)
		if !m.pause(ctx, heartbeat) {
			return
		}
	}
}

// lookAtServer gathers what this host's PostgreSQL says at one instant.
func (m *Monitor) lookAtServer(ctx context.Context) {
	began := m.uptime()
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	state := m.state.Current()
	var (
		server   Server
		standbys []StandbyRow
		slot     *Slot
	)
	err := m.looking.do(ctx, func(conn *pgx.Conn, start string) (err error) {
		if server, err = observeServer(ctx, conn, start); err != nil || state.Duty != Active {
			return err
		}
		if standbys, err = observeStandbys(ctx, conn); err != nil || state.Peer == nil {
			return err
		}
		slot, err = observeSlot(ctx, conn, state.Epoch.StandbyName(state.Peer.Name))
		return err
	})
	free, size := m.disk()

	defer nudge(m.wake)
	m.mu.Lock()
	defer m.mu.Unlock()
	f := &m.facts
	f.serverTried, f.diskFree, f.diskSize = began, free, size
	if err != nil {
		f.server.Answers, f.server.Trouble, f.standbys = false, err.Error(), nil
		return
	}
	f.server, f.serverAt, f.standbys, f.slot = server, began, standbys, slot
	if f.standing.start != server.Start {
		f.standing = examined{start: server.Start, below: below(state, server)}
	}
	if goal := f.standing.goal; goal != 0 && server.Replayed >= goal {
		f.standing.ready = true
	}
}

// watchPeer asks the peer's daemon, again and again, and whenever a position is waited for. Every call has a goroutine and
// a deadline of its own.
func (m *Monitor) watchPeer(ctx context.Context) {
	const most = 8 // calls under way; a frozen peer holds each for callLimit
	under := make(chan struct{}, most)
	for {
		state := m.state.Current()
		for _, to := range []*Peer{state.Peer, pendingPeer(state)} {
			if to == nil {
				continue
			}
			select {
			case under <- struct{}{}:
				go func() {
					defer func() { <-under }()
					m.ask(ctx, *to, Ask{}, callLimit)
				}()
			default:
			}
		}
		if !m.pauseOr(ctx, heartbeat, m.beat) {
			for range most { // wait for those under way
				under <- struct{}{}
			}
			return
		}
	}
}

func pendingPeer(s State) *Peer {
	if s.Pending == nil {
		return nil
	}
	return &s.Pending.Peer
}

// ask sends q, completed with what this node says of itself, and takes note of the answer, whole or not.
func (m *Monitor) ask(ctx context.Context, to Peer, q Ask, limit time.Duration) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	m.introduce(&q)
	began := m.uptime()
	a, err := m.caller.Ask(ctx, to, q)
	if err == nil && (!bytes.Equal(a.Nonce, q.Nonce) || a.Name != to.Name) {
		err = errors.New("the answer is not to this question")
	}
	m.heard(to, began, a, err)
	return a, err
}

// introduce fills in who asks.
func (m *Monitor) introduce(q *Ask) {
	state := m.state.Current()
	if q.Nonce == nil {
		q.Nonce = newNonce()
	}
	q.From, q.Duty, q.Epoch = state.Self, state.Duty, state.Epoch
	if state.Duty != Active {
		return
	}
	q.Confirmed = m.horizon.covering(state)
	if state.Operation != nil {
		q.Operation = state.Operation.ID
	}
	shut := m.gate.Closed()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.facts.server.Answers {
		q.Start = m.facts.server.Start
	}
	q.Gate = &GateReport{Open: true, Since: m.facts.begun}
	if shut != nil {
		q.Gate = &GateReport{Reason: shut.Reason, Since: shut.Since, Sentence: shut.Sentence}
	}
}

func newNonce() []byte {
	nonce := make([]byte, 16)
	rand.Read(nonce)
	return nonce
}

// heard takes note of an answer to a question asked at began, or of its failure.
func (m *Monitor) heard(from Peer, began time.Duration, a Answer, err error) {
	state := m.state.Current()
	if err == nil && (m.started(state, a) || m.returned(state, a)) {
		return // a joiner, perhaps asked as the one that it replaces; or the restored active
	}
	away, turned := errors.AsType[*TurnedAwayError](err)
	if turned && state.wentOn(from, away.Epoch) {
		m.mu.Lock()
		m.facts.peer.Epoch, m.facts.peer.Unconfirmed = away.Epoch, false
		m.mu.Unlock()
		nudge(m.wake)
		return
	}
	if state.Peer == nil || from.Incarnation != state.Peer.Incarnation || from.Name != state.Peer.Name {
		return
	}
	m.mu.Lock()
	f := &m.facts
	f.peerTried = max(f.peerTried, began)
	f.expired = expired(err)
	if turned && state.Epoch.supersededBy(away.Epoch) {
		f.peer.Epoch, f.peer.Unconfirmed = away.Epoch, false // this host was replaced
	}
	if err != nil {
		m.mu.Unlock()
		nudge(m.wake)
		return
	}
	if began >= f.replyAt || a.Server.Answers && began >= f.peerAt { // answers may overtake each other
		f.replyAt, f.heardAt = max(f.replyAt, began), max(f.heardAt, began)
		f.trouble = a.Server.Trouble
		f.skew = a.Clock.Sub(m.now())
		if a.Server.Answers {
			f.peer, f.peerAt = a, began
		} else { // what its PostgreSQL said last stands, but for its start
			old := f.peer.Server
			f.peer = a
			f.peer.Server, f.peer.Server.Answers, f.peer.Server.Start = old, false, a.Server.Start
		}
	}
	m.mu.Unlock()
	if w, ok := m.believable(state, a); ok {
		m.horizon.confirm(w, a.position())
	}
	nudge(m.wake)
}

// expired says that err is about the time of the peer's certificate; empty if it is not.
func expired(err error) string {
	invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
	if !ok || invalid.Reason != x509.Expired || invalid.Cert == nil {
		return ""
	}
	return "it shows a certificate that is good from " + invalid.Cert.NotBefore.UTC().Format(stampLayout) + " to " + invalid.Cert.NotAfter.UTC().Format(stampLayout)
}

// believable returns the world in which the positions of a mean something: they are those of the passive that joined, in
// the very starts that were compared, under settings that make "flushed" true.
func (m *Monitor) believable(state State, a Answer) (World, bool) {
	p := state.Peer
	if state.Duty != Active || state.Fenced != nil || p == nil || state.Compared == nil {
		return World{}, false
	}
	want := Compared{Active: m.start(), Passive: a.Server.Start, Incarnation: p.Incarnation}
	m.mu.Lock()
	server, below := m.facts.server, m.facts.standing.below
	m.mu.Unlock()
	w := World{server.SystemID, server.Timeline, state.Epoch, p.Incarnation}
	ok := *state.Compared == want && want.Active != "" && want.Passive != "" && below == "" &&
		server.Start == want.Active && server.SystemID == state.SystemID &&
		a.Fenced == "" && a.Duty == Passive && a.Server.Answers && a.Server.Role == Standby &&
		w == World{a.Server.SystemID, a.Server.Timeline, a.Epoch, a.Incarnation} &&
		differences(a.Server.Settings, durableSettings) == ""
	return w, ok
}
