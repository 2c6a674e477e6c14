package replication

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// NoticeKind says what a Notice is about.
type NoticeKind string

// The kinds.
const (
	GateNotice      NoticeKind = "gate"      // it was opened or shut, or is shut for another reason; a passive is in order, or is not
	FenceNotice     NoticeKind = "fence"     // this host has fenced itself
	OperationNotice NoticeKind = "operation" // one has begun, or is a step further
	OutcomeNotice   NoticeKind = "outcome"   // one has ended
	FormerNotice    NoticeKind = "former"    // a host is the peer no longer
)

// Notice is a change of this host's half of the pair that is kept for people: in the audit log, in syslog, in the metrics.
type Notice struct {
	Kind     NoticeKind
	At       time.Time
	Host     string // this one
	Peer     string // empty: none
	Duty     Duty
	Epoch    Epoch
	Open     bool      // of a GateNotice
	Reason   Reason    // why the gate is shut, or the fence; empty at a gate that is open, and at a passive in order
	Since    time.Time // when what it tells of began
	Sentence string    // what, which host, since when, what to do
	// Found: this is how the daemon found it when it started. It may have been told of before.
	Found bool

	Operation *Operation // of an OperationNotice
	Outcome   *Outcome   // of an OutcomeNotice
	Former    *Former    // of a FormerNotice
}

// maxNotices wait for Config.Told at most. One more is lost: the log has it all the same.
const maxNotices = 256

// notices hands what the Monitor has to tell to Config.Told: one at a time, in order, and never while a decision waits for it.
type notices struct {
	told  func(Notice) // nil: nobody wants them
	queue chan Notice
	lost  atomic.Uint64
	asked bool  // tellState was called; this and what follows is guarded by Monitor.deciding
	state State // what it was called with last
}

// tellAbout queues n for Config.Told, completed with what this node is. It waits for nobody.
func (m *Monitor) tellAbout(s State, n Notice) {
	if m.notices.told == nil {
		return
	}
	n.At, n.Host, n.Duty, n.Epoch = m.now(), s.Self, s.Duty, s.Epoch
	if s.Peer != nil {
		n.Peer = s.Peer.Name
	}
	select {
	case m.notices.queue <- n:
	default:
		m.notices.lost.Add(1)
		m.log.Error("a notice is lost: whoever is told of them does not keep up", "kind", n.Kind, "reason", n.Reason)
	}
}

// NoticesLost is how many notices Config.Told never got.
func (m *Monitor) NoticesLost() uint64 { return m.notices.lost.Load() }

// tellState tells what the state file says and did not say when it was told of last. The first call, after a start, tells
// all that it finds: it may have come there when nobody was left to tell of it. The caller holds deciding.
func (m *Monitor) tellState(s State) {
	was, found := m.notices.state, !m.notices.asked
	m.notices.state, m.notices.asked = s, true
	if f := s.Fenced; f != nil && (was.Fenced == nil || was.Fenced.Since != f.Since || was.Fenced.Reason != f.Reason) {
		m.tellAbout(s, Notice{Kind: FenceNotice, Reason: f.Reason, Since: f.Since, Sentence: f.Detail, Found: found})
	}
	if f := s.Former; f != nil && (was.Former == nil || was.Former.Epoch != f.Epoch) {
		m.tellAbout(s, Notice{Kind: FormerNotice, Since: f.Since, Former: f, Found: found,
			Sentence: fmt.Sprintf("%s is the peer of %s no longer, in epoch %s", f.Name, s.Self, f.Epoch)})
	}
	if o := s.Outcome; o != nil && (was.Outcome == nil || was.Outcome.ID != o.ID || was.Outcome.Ended != o.Ended) {
		m.tellAbout(s, Notice{Kind: OutcomeNotice, Since: o.Ended, Sentence: o.Sentence, Outcome: o, Found: found})
	}
	if o := s.Operation; o != nil && (was.Operation == nil || was.Operation.ID != o.ID || was.Operation.Step != o.Step) {
		m.tellAbout(s, Notice{Kind: OperationNotice, Reason: o.Reason(), Since: o.Since, Sentence: o.Note, Operation: o, Found: found})
	}
}

// tellAll calls Config.Told until ctx ends.
func (m *Monitor) tellAll(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case n := <-m.notices.queue:
			m.notices.told(n)
		}
	}
}

// tellRest calls Config.Told for what still waits.
func (m *Monitor) tellRest() {
	for {
		select {
		case n := <-m.notices.queue:
			m.notices.told(n)
		default:
			return
		}
	}
}
