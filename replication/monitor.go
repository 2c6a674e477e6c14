package replication

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"keytrustee/postgres"
)

// The paces of a Monitor.
const (
	tick      = 100 * time.Millisecond // looks at the clock and decides
	heartbeat = 250 * time.Millisecond // asks the peer, and the own server
	// standstill: a process that has not looked at the clock for so long was frozen, or its machine was.
	standstill = 2 * time.Second
	callLimit  = 900 * time.Millisecond // of one heartbeat
)

// Config is what a Monitor needs. Server, State, Caller and Prover are required.
type Config struct {
	Server *postgres.Server // of this host
	State  *StateFile
	Caller Caller
	Prover Prover
	Policy Policy
	// Extra is written into postgresql.conf beside what the pair needs.
	Extra  map[string]string
	Logger *slog.Logger         // nil: slog.Default()
	Now    func() time.Time     // nil: time.Now; for people and for clock_skew, never for an age
	Uptime func() time.Duration // nil: Uptime; the boot-time clock
}

// Monitor is one host's half of the pair. Its methods may be called concurrently, also before Run.
type Monitor struct {
	server *postgres.Server
	state  *StateFile
	caller Caller
	prover Prover
	policy Policy
	extra  map[string]string
	log    *slog.Logger
	now    func() time.Time
	uptime func() time.Duration

	gate    *Gate
	horizon *Horizon

	looking, answering, proving, control *session // to observe, to answer the peer, to see replay advance, for control writes

	beat, wake chan struct{} // ask the peer now; decide now
	deciding   sync.Mutex    // held while a decision is made and applied, so that none overtakes a newer one
	acting     sync.Mutex    // held by whoever changes hba, settings or slots
	did        applied       // guarded by acting

	mu    sync.Mutex // guards facts, for moments
	facts facts
}

// New returns a Monitor, gate shut. It starts nothing.
func New(c Config) (*Monitor, error) {
	if c.Server == nil || c.State == nil || c.Caller == nil || c.Prover == nil {
		return nil, errors.New("a monitor needs a server, a state, a caller and a prover")
	}
	m := &Monitor{server: c.Server, state: c.State, caller: c.Caller, prover: c.Prover, policy: c.Policy.withDefaults(), extra: c.Extra,
		log: c.Logger, now: c.Now, uptime: c.Uptime, beat: make(chan struct{}, 1), wake: make(chan struct{}, 1)}
	if m.log == nil {
		m.log = slog.Default()
	}
	if m.now == nil {
		m.now = time.Now
	}
	if m.uptime == nil {
		m.uptime = Uptime
	}
	m.looking = newSession(m.server.ConnString("postgres"), m.start)
	m.answering = newSession(m.server.ConnString("postgres"), m.start)
	m.proving = newSession(m.server.ConnString("postgres"), m.start)
	m.control = newSession(m.server.ConnString("postgres"), m.start)
	m.facts = newFacts(m.uptime())
	s := m.state.Current()
	m.gate = newGate(m.uptime, m.evaluate, m.closed(s, Decision{Reason: Starting}, m.now(), false))
	m.horizon = newHorizon(m.state)
	m.horizon.view = m.view
	return m, nil
}

// Gate says whether a write may begin.
func (m *Monitor) Gate() *Gate { return m.gate }

// Horizon says when a write is done and what may be shown.
func (m *Monitor) Horizon() *Horizon { return m.horizon }

// State is what this node has on disk.
func (m *Monitor) State() State { return m.state.Current() }

// start names the life of this host's postmaster; empty while there is none.
func (m *Monitor) start() string {
	pid, ok := m.server.Pid()
	if !ok {
		return ""
	}
	id, err := startID(pid)
	if err != nil {
		return ""
	}
	return id
}

// Run observes, decides and applies until ctx ends; the gate is shut when it returns. It never waits for the peer: a peer
// that is frozen in the middle of a call costs that call and nothing else.
func (m *Monitor) Run(ctx context.Context) error {
	m.mu.Lock()
	m.facts = newFacts(m.uptime())
	m.mu.Unlock()
	var all sync.WaitGroup
	for _, part := range []func(context.Context){m.watchServer, m.watchPeer, m.act, m.sing, m.proveRows, m.proveRoots} {
		all.Go(func() { part(ctx) })
	}
	all.Go(func() {
		for m.pauseOr(ctx, tick, m.wake) {
			m.evaluate()
		}
	})
	all.Wait()
	m.gate.shut(m.closed(m.state.Current(), Decision{Reason: Starting, Detail: "{self} is stopping"}, m.now(), false))
	for _, s := range []*session{m.looking, m.answering, m.proving, m.control} {
		s.close()
	}
	return nil
}

// pause waits for d; false when ctx has ended.
func (m *Monitor) pause(ctx context.Context, d time.Duration) bool { return m.pauseOr(ctx, d, nil) }

// pauseOr waits for d or until it is woken; false when ctx has ended.
func (m *Monitor) pauseOr(ctx context.Context, d time.Duration, woken <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
	case <-woken:
	}
	return ctx.Err() == nil
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (m *Monitor) beatNow() { nudge(m.beat) }

// evaluate decides and applies: the gate first when it closes, the gate last when it opens.
func (m *Monitor) evaluate() {
	m.deciding.Lock()
	defer m.deciding.Unlock()
	now := m.uptime()
	m.mu.Lock()
	m.facts.look(now)
	m.mu.Unlock()
	state := m.state.Current()
	s := m.statusOf(state, now)
	d := Decide(s, m.policy)
	if d.Fence {
		m.fence(s, d)
		return
	}
	m.apply(state, s, d, now)
}

// fence shuts the gate, makes every write that waits unknown, and puts the fence on the disk.
func (m *Monitor) fence(s Status, d Decision) {
	state := m.state.Current()
	m.apply(state, s, Decision{Reason: d.Reason, Detail: d.Detail}, m.uptime())
	m.horizon.abandon()
	f := Fence{Reason: d.Reason, Detail: expand(d.Detail, s.Self, s.PeerName), Since: m.now()}
	err := m.state.Update(func(s *State) error {
		if s.Fenced != nil {
			return errUnchanged
		}
		s.Fenced = &f
		return nil
	})
	if err != nil {
		m.log.Error("the fence can not be written; the gate stays shut", "err", err)
		return
	}
	m.log.Error("this host is fenced", "reason", f.Reason, "detail", f.Detail)
}

// apply sets the gate and the horizon by d.
func (m *Monitor) apply(state State, s Status, d Decision, now time.Duration) {
	m.gate.setWorld(fmt.Sprintf("%s in epoch %s", s.Duty, s.Epoch), claimable(d.Reason))
	m.mu.Lock()
	since := m.facts.since(d, m.now())
	m.mu.Unlock()
	why := m.closed(state, d, since, m.answers(s))
	if !d.Open {
		if m.gate.shut(why) {
			m.log.Warn("writes closed", "reason", d.Reason, "detail", why.Sentence)
		}
	}
	if s.Local.Answers && s.Duty == Active && state.Fenced == nil {
		m.horizon.enter(World{s.Local.SystemID, s.Local.Timeline, s.Epoch, s.Incarnation})
	}
	if d.Open {
		// Good for as long as the newest answer is; whoever finds it past that was not looked after meanwhile.
		until := now - s.PeerAge + m.policy.HeartbeatLimit
		after := m.closed(state, Decision{Reason: Starting, Detail: "{self} stood still"}, time.Time{}, false)
		if !m.gate.admit(until, after) {
			m.log.Info("writes open", "passive", s.PeerName, "epoch", s.Epoch.String(), "confirmed", s.Confirmed.String())
		}
	}
}

// claimable reports whether claims on earlier writes are answered while the gate is shut for that reason.
func claimable(r Reason) bool {
	switch r {
	case Starting, Fenced, Restoring, EpochConflict, HistoryDiffers, PassiveAhead:
		return false
	}
	return true
}

// closed is d as an error.
func (m *Monitor) closed(state State, d Decision, since time.Time, answers bool) *ClosedError {
	peer := ""
	if state.Peer != nil {
		peer = state.Peer.Name
	}
	if d.Reason == "" { // a passive in order
		d = Decision{Reason: Starting, Detail: "{self} is the passive; {peer} takes writes"}
	}
	host := state.Self
	if peer != "" && aboutPeer[d.Reason] {
		host = peer
	}
	return &ClosedError{Reason: d.Reason, Host: host, Since: since, PeerAnswers: answers,
		Sentence: d.Reason.sentence(state.Self, peer, d.Detail, since)}
}

// aboutPeer are the reasons whose cause lies with the other host.
var aboutPeer = map[Reason]bool{PassiveUnreachable: true, PassiveNotStreaming: true, PassiveNotSynchronous: true, PassiveStale: true,
	ReplayPaused: true, PassiveDaemonDown: true, IdentityMismatch: true, PassiveAhead: true, NeedsClone: true, ActiveUnreachable: true}

func (m *Monitor) answers(s Status) bool { return s.Polled && s.HeardAge <= m.policy.AnswerLimit }

// PeerAnswers reports whether the peer's daemon was heard less than two seconds ago.
func (m *Monitor) PeerAnswers() bool { return m.answers(m.statusOf(m.state.Current(), m.uptime())) }

// Report is this host's view of the pair at one instant.
type Report struct {
	Status
	Decision
	Since       time.Time   `json:"since"` // when Reason began; for an open gate, when it opened
	Sentence    string      `json:"sentence,omitempty"`
	PeerAnswers bool        `json:"peer_answers"`
	PeerHeard   time.Time   `json:"peer_heard"`            // zero: never since this process started
	ActiveGate  *GateReport `json:"active_gate,omitempty"` // passive: as the active last said
	Waiting     int         `json:"waiting"`               // writes that wait for the peer
}

// Report looks at the clock and tells what holds now.
func (m *Monitor) Report() Report {
	state, now := m.state.Current(), m.uptime()
	s := m.statusOf(state, now)
	r := Report{Status: s, Decision: Decide(s, m.policy), PeerAnswers: m.answers(s), Waiting: m.horizon.Waiting()}
	m.mu.Lock()
	r.Since = m.facts.since(r.Decision, m.now())
	r.ActiveGate = copied(m.facts.reported)
	m.mu.Unlock()
	r.Detail = expand(r.Detail, s.Self, s.PeerName)
	if s.HeardAge != never {
		r.PeerHeard = m.now().Add(-s.HeardAge)
	}
	if !r.Open && r.Reason != "" {
		r.Sentence = m.closed(state, r.Decision, r.Since, r.PeerAnswers).Sentence
	}
	if c := m.gate.Closed(); r.Open && c != nil { // all is seen that opens it, and it has not been opened yet
		r.Decision, r.Since, r.Sentence = Decision{Reason: c.Reason}, c.Since, c.Sentence
	}
	return r
}

// view is what a reader may be told now, in this very start of PostgreSQL.
func (m *Monitor) view() (all, some bool, why *ClosedError) {
	state, now, start := m.state.Current(), m.uptime(), m.start()
	s := m.statusOf(state, now)
	no := func(d Decision) *ClosedError {
		c := m.closed(state, d, time.Time{}, m.answers(s))
		c.Sentence = d.Reason.readSentence(s.Self, s.PeerName, d.Detail)
		return c
	}
	for _, rule := range []rule{fenced, localServer} {
		if d := rule(s, m.policy); d.Reason != "" {
			return false, false, no(d)
		}
	}
	if start == "" || s.Standing.Start != start || s.Local.Start != start {
		return false, false, no(shut(Starting, "the database of {self} has just been started"))
	}
	if s.Duty == Passive {
		if d := notReady(s, m.policy); d.Reason != "" {
			return false, false, no(d)
		}
		if state.LastConfirmed == 0 {
			return false, false, no(Decision{Reason: Joining})
		}
		return true, false, nil
	}
	compared := state.Compared != nil && state.Compared.Active == start
	alone := state.Peer == nil && state.Pending == nil && state.Confirmed.Position == 0 // nothing was ever acknowledged
	if !compared && !alone {
		d := comparison(s, m.policy)
		if d.Reason == "" {
			d = shut(Starting, "the data of {self} has not been compared with that of {peer} since its database started")
		}
		return false, true, no(d)
	}
	return false, true, nil
}
