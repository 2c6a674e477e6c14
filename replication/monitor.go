package replication

import (
	"context"
	"errors"
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
	// Forget drops what this host remembers of rows that may change what they mean. It is called, on the passive first, whenever the
	// active is about to show more than the changes that were acknowledged one by one. nil: nothing is remembered.
	Forget func()
	// Linked returns nil when no row of what this host serves is missing that another row speaks of, a *postgres.RowsError where one is. It reads all
	// of them. nil: nobody knows.
	Linked func(context.Context) error
	// Told is called for every change of the gate, and for each fence and each step of an operation: one at a time, in order, from a goroutine of
	// Run, with no lock held. However long it takes, no decision waits for it. nil: nobody is told.
	Told func(Notice)
	// Backups is what this host says of its backups; it answers at once. nil: nothing.
	Backups func() BackupWord
	Logger  *slog.Logger         // nil: slog.Default()
	Now     func() time.Time     // nil: time.Now; for people and for clock_skew, never for an age
	Uptime  func() time.Duration // nil: Uptime; the boot-time clock
}

// Monitor is one host's half of the pair. Its methods may be called concurrently, also before Run.
type Monitor struct {
	server  *postgres.Server
	state   *StateFile
	caller  Caller
	prover  Prover
	forget  func()
	linked  func(context.Context) error
	backups func() BackupWord
	policy  Policy
	log     *slog.Logger
	now     func() time.Time
	uptime  func() time.Duration

	gate    *Gate
	horizon *Horizon

	looking, answering, proving, control *session // to observe, to answer the peer, to see replay advance, for control writes

	duty      Duty               // when this Monitor was made
	changed   chan struct{}      // closed once the state has another
	failpoint func(string) error // nil but in tests

	beat, wake, goOn chan struct{} // ask the peer now; decide now; take the next step now
	deciding         sync.Mutex    // held while a decision is made and applied, so that none overtakes a newer one
	said             Reason        // the reason that the log last gave; guarded by deciding
	notices          notices
	acting           sync.Mutex // held by whoever changes hba, settings or slots
	pace             pace       // of an operation; guarded by acting
	did              applied    // guarded by acting

	mu    sync.Mutex // guards facts, for moments
	facts facts
}

// New returns a Monitor, gate shut. It starts nothing.
func New(c Config) (*Monitor, error) {
	if c.Server == nil || c.State == nil || c.Caller == nil || c.Prover == nil {
		return nil, errors.New("a monitor needs a server, a state, a caller and a prover")
	}
	m := &Monitor{server: c.Server, state: c.State, caller: c.Caller, prover: c.Prover, forget: c.Forget, linked: c.Linked, backups: c.Backups, policy: c.Policy.withDefaults(),
		log: c.Logger, now: c.Now, uptime: c.Uptime, beat: make(chan struct{}, 1), wake: make(chan struct{}, 1), goOn: make(chan struct{}, 1),
		notices: notices{told: c.Told, queue: make(chan Notice, maxNotices)}}
	if m.forget == nil {
		m.forget = func() {}
	}
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
	m.duty, m.changed = s.Duty, make(chan struct{})
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
	id, err := StartID(pid)
	if err != nil {
		return ""
	}
	return id
}

// ErrDutyChanged ends Run when this host's duty has become the other one. What goes on is a new Monitor, in a new process:
// nothing that was remembered under the old duty may be used under the new one.
var ErrDutyChanged = errors.New("this host has another duty now")

// Run observes, decides and applies until ctx ends, or the duty changes; the gate is shut when it returns. It never waits
// for the peer: a peer that is frozen in the middle of a call costs that call and nothing else.
func (m *Monitor) Run(ctx context.Context) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	go func() {
		select {
		case <-m.changed:
			end()
		case <-ctx.Done():
		}
	}()
	m.mu.Lock()
	m.facts = newFacts(m.uptime())
	m.mu.Unlock()
	var all sync.WaitGroup
	for _, part := range []func(context.Context){m.watchServer, m.watchPeer, m.act, m.sing, m.proveRows, m.proveRoots, m.tellAll} {
		all.Go(func() { part(ctx) })
	}
	all.Go(func() {
		for m.pauseOr(ctx, tick, m.wake) {
			m.evaluate()
		}
	})
	all.Wait()
	m.stop()
	m.tellRest()
	for _, s := range []*session{m.looking, m.answering, m.proving, m.control} {
		s.close()
	}
	if m.state.Current().Duty != m.duty {
		return ErrDutyChanged
	}
	return nil
}

// stop shuts the gate for good.
func (m *Monitor) stop() {
	m.deciding.Lock()
	defer m.deciding.Unlock()
	state := m.state.Current()
	why := m.closed(state, Decision{Reason: Starting, Detail: "{self} is stopping"}, m.now(), false)
	if m.gate.shut(why) {
		m.tell(state, state.Duty, Starting, why)
	}
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
