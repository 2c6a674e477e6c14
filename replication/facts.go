package replication

import (
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"keytrustee/postgres"
)

// facts is what a Monitor has gathered, with the moments (boot-time clock) at which it did. A moment of zero means never.
type facts struct {
	looked  time.Duration // when the clock was last looked at
	resumed time.Duration // since when this process has run without standing still

	serverTried time.Duration // when the last attempt that has ended began
	server      Server
	serverAt    time.Duration // when it was asked
	standbys    []StandbyRow
	slot        *Slot
	diskFree    uint64
	diskSize    uint64

	peerTried time.Duration
	peer      Answer
	peerAt    time.Duration // when the last whole answer was asked for
	replyAt   time.Duration // when the last answer of any kind was asked for
	heardAt   time.Duration // that, or when the peer asked
	trouble   string
	expired   string // what is wrong with the time of the peer's certificate
	skew      time.Duration
	reported  *GateReport // passive: the active's word on its gate
	asking    string      // passive: the active's start, by its last question
	// passive: the active's operation, by its last question, and when that came
	operation   string
	operationAt time.Duration

	outsider outsider
	acting   string // why the last step did not succeed
	standing examined
	canary   *canary
	through  time.Duration // when the newest canary that was confirmed had been written
	rootAt   time.Duration
	rootErr  string

	reason Reason // the decision's, and since when
	open   bool
	begun  time.Time
	turned time.Time // when the gate was last opened or shut, whatever reasons have followed each other
}

// outsider is why the joiner with that copy has not come in.
type outsider struct{ incarnation, why string }

// examined is what has been found out about one start of this host's server.
type examined struct {
	start   string
	below   string       // active: why this start is fenced
	goal    postgres.LSN // passive: how far replay must come before anything is read; zero while that is not known
	ready   bool         // passive: it has
	verdict Verdict      // active
	detail  string
	with    string // the passive's start and incarnation that verdict is about
}

func newFacts(now time.Duration) facts { return facts{looked: now, resumed: now} }

// look notes the time, and whether this process stood still before it.
func (f *facts) look(now time.Duration) {
	if now-f.looked > standstill {
		f.resumed = now
	}
	f.looked = now
}

// since is when the decision's reason began; the caller holds the lock.
func (f *facts) since(d Decision, now time.Time) time.Time {
	if f.begun.IsZero() || d.Open != f.open {
		f.turned = now
	}
	if f.begun.IsZero() || d.Reason != f.reason || d.Open != f.open {
		f.reason, f.open, f.begun = d.Reason, d.Open, now
	}
	return f.begun
}

func age(now, at time.Duration) time.Duration {
	if at == 0 {
		return Never
	}
	return max(0, now-at)
}

// statusOf is the Status at now.
func (m *Monitor) statusOf(state State, now time.Duration) Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := &m.facts
	s := Status{
		Self: state.Self, Duty: state.Duty, Epoch: state.Epoch, SystemID: state.SystemID, Fenced: state.Fenced, Operation: state.Operation,
		Local: f.server, Age: age(now, f.serverAt), SyncEnabled: state.SyncEnabled, Incarnation: state.Incarnation,
		PeerAge: Never, ReplyAge: Never, HeardAge: Never, MessageAge: Never,
		Standbys: f.standbys, Slot: f.slot, DiskFree: f.diskFree, DiskSize: f.diskSize, StateTrouble: m.state.Trouble(), StepTrouble: f.acting, RootProofAge: age(now, f.rootAt), RootProofError: f.rootErr,
		Standing: Standing{Start: f.standing.start, Below: f.standing.below}, console: m.console(), peerConsole: state.peerConsole(),
	}
	awake := now-f.looked <= standstill
	s.Polled = awake && f.serverTried >= f.resumed
	if p := state.Peer; p != nil {
		s.PeerName = p.Name
		s.Peer, s.PeerAge, s.ReplyAge, s.HeardAge = f.peer, age(now, f.peerAt), age(now, f.replyAt), age(now, f.heardAt)
		s.PeerTrouble, s.PeerExpired, s.Skew = f.trouble, f.expired, f.skew
		s.Polled = s.Polled && f.peerTried >= f.resumed
	}
	if state.Pending != nil {
		s.Pending = state.Pending.Peer.Name
		if f.outsider.incarnation == state.Pending.Peer.Incarnation {
			s.PendingTrouble = f.outsider.why
		}
	}
	if state.Duty == Active {
		if p := state.Peer; p != nil {
			s.Incarnation, s.StandbyName = p.Incarnation, state.Epoch.StandbyName(p.Name)
		}
		if f.standing.with == s.Peer.Server.Start+" "+s.Peer.Incarnation {
			s.Standing.Verdict, s.Standing.Detail = f.standing.verdict, f.standing.detail
		}
		if f.canary != nil {
			s.Canary = age(now, f.canary.sent)
		}
		if !f.open {
			s.Through = age(now, f.through)
		}
		s.Confirmed = m.horizon.Confirmed()
		return s
	}
	if s.Local.MessageAge != Never && s.Age != Never {
		s.MessageAge = s.Local.MessageAge + s.Age
	}
	s.Confirmed = state.LastConfirmed
	s.Standing.Ready = f.standing.ready
	return s
}

func (m *Monitor) setCanary(c *canary) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.facts.canary = c
}

func (m *Monitor) heardCanary(c canary) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.facts.through = c.sent
}

// wantsCanary: a canary proves something only while the peer, compared, is there to confirm it. Before the comparison
// nothing is written that the peer's position could be overtaken by.
func (m *Monitor) wantsCanary() bool {
	state := m.state.Current()
	s := m.statusOf(state, m.uptime())
	return s.Duty == Active && state.Fenced == nil && s.Polled && s.Local.Answers && s.Local.Role == Primary && s.Standing.Below == "" &&
		s.Standing.Verdict == VerdictCompared && s.PeerAge <= m.policy.AnswerLimit
}

// disk is what may still be written where the data lies and where the state file does, and the size of the fuller one.
func (m *Monitor) disk() (free, size uint64) {
	free, size = diskAt(m.server.Data)
	if f, s := diskAt(filepath.Dir(m.state.path)); f < free {
		return f, s
	}
	return free, size
}

// diskAt is what a user may still write where path lies, and what all of that disk holds; zero if that can not be found out.
func diskAt(path string) (free, size uint64) {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return 0, 0
	}
	return fs.Bavail * uint64(fs.Bsize), fs.Blocks * uint64(fs.Bsize)
}
