package replication

import (
	"context"
	"time"
)

// NoticeKind says what a Notice is about.
type NoticeKind string

// GateNotice: the gate was opened or shut, or is shut for another reason; at a passive: it is in order, or is not.
// FenceNotice: this host has fenced itself.
const (
	GateNotice  NoticeKind = "gate"
	FenceNotice NoticeKind = "fence"
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
	Since    time.Time // when the reason began
	Sentence string    // what, which host, since when, what to do
}

// maxNotices wait for Config.Told at most. One more is lost: the log has it all the same.
const maxNotices = 256

// notices hands what the Monitor has to tell to Config.Told: one at a time, in order, and never while a decision waits for it.
type notices struct {
	told  func(Notice) // nil: nobody wants them
	queue chan Notice
	fence *Fence // the last that was told of; guarded by Monitor.deciding
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
		m.log.Error("a notice is lost: whoever is told of them does not keep up", "kind", n.Kind, "reason", n.Reason)
	}
}

// tellState tells what the state file says and did not say when it was told of last. The first call, after a start, tells
// what it finds: it may have come there when nobody was left to tell of it. The caller holds deciding.
func (m *Monitor) tellState(s State) {
	if f := s.Fenced; f != nil && (m.notices.fence == nil || *m.notices.fence != *f) {
		m.tellAbout(s, Notice{Kind: FenceNotice, Reason: f.Reason, Since: f.Since, Sentence: f.Detail})
	}
	m.notices.fence = s.Fenced
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
