package host

import (
	"fmt"
	"time"

	"keytrustee/replication"
)

// Sight is what a view of the pair is made of.
type Sight struct {
	At     time.Time
	Status Status // of the host that is asked, with its daemon's Report if that answers
	Down   string // why the daemon does not answer; empty: it does
	Stuck  bool   // it runs all the same
	// Peer is the other host's own word, nil if it could not be had, and then PeerTrouble says why.
	Peer        *replication.Report
	PeerTrouble string
	PeerEpoch   *replication.Epoch // it answers, and turns this host away, since it is of that epoch
}

// View is the pair as it follows from s.
func View(s Sight) Cluster {
	c := Cluster{ID: s.Status.Cluster, From: s.Status.Name, Updated: s.At.UTC().Truncate(time.Millisecond)}
	self, peer := s.nodes()
	c.Nodes = []Node{self}
	if peer != nil {
		c.Nodes = append(c.Nodes, *peer)
	}
	c.NodeCount = len(c.Nodes)
	if st := s.Status.State; st != nil {
		c.Epoch, c.Operation, c.Outcome, c.Former = st.Epoch, st.Operation, st.Outcome, st.Former
		if st.Pending != nil {
			c.Joining = st.Pending.Peer.Name
		}
	}
	if active := s.active(); active != nil {
		c.Epoch, c.Line = active.Epoch, line(*active)
		if c.Operation == nil {
			c.Operation = active.Operation
		}
	} else if s.Peer != nil && c.Operation == nil {
		c.Operation = s.Peer.Operation
	}
	c.Writes = s.writes()
	for _, n := range c.Nodes {
		c.Writes.Reads = c.Writes.Reads || n.Reads == string(replication.Everything) || n.Reads == string(replication.Known)
	}
	c.Problems = problemsOf(c)
	c.Summary = Good
	if len(c.Problems) > 0 {
		c.Summary = Bad
	}
	return c
}

// reports are the words of daemons that answer, this host's first.
func (s Sight) reports() (words []*replication.Report) {
	for _, r := range []*replication.Report{s.Status.Report, s.Peer} {
		if r != nil {
			words = append(words, r)
		}
	}
	return words
}

// active is the word of the active; nil if it could not be had. Of two, the one of the later epoch is it.
func (s Sight) active() (active *replication.Report) {
	for _, r := range s.reports() {
		if r.Duty == replication.Active && (active == nil || r.Epoch.Number > active.Epoch.Number) {
			active = r
		}
	}
	return active
}

// writes follows the active's own word, then what the passive knows of it, then what the files say.
func (s Sight) writes() Writes {
	if r := s.active(); r != nil {
		return s.gateOf(*r)
	}
	if words := s.reports(); len(words) > 0 {
		w := s.gateBehind(*words[0])
		if st := s.Status.State; w.State == WritesOpen && s.Down != "" && !s.Stuck && st != nil && st.Duty == replication.Active {
			return s.writesByFiles() // the passive has not noticed yet
		}
		return w
	}
	return s.writesByFiles()
}

// gateBehind is the active's gate as a passive knows it.
func (s Sight) gateBehind(r replication.Report) Writes {
	g := r.ActiveGate
	switch {
	case g != nil && r.PeerAnswers && (r.Reason == "" || r.Reason == replication.Starting) && g.Open:
		return Writes{State: WritesOpen, Host: r.PeerName}.since(g.Since, s.At)
	case g != nil && r.PeerAnswers && (r.Reason == "" || r.Reason == replication.Starting):
		w := Writes{State: WritesRefused, Host: r.PeerName, Why: g.Reason, What: g.Sentence, Do: fmt.Sprintf("ktadmin cluster summary on %s says more.", r.PeerName)}
		return w.since(g.Since, s.At)
	case r.Reason != "":
		return Writes{State: WritesRefused, Host: r.PeerName, Why: r.Reason, What: r.What, Do: r.Do}.since(r.Since, s.At)
	case !r.PeerAnswers && !r.PeerHeard.IsZero(): // its database still sends its log, or the passive would have a reason
		w := Writes{State: WritesRefused, Host: r.PeerName, Why: replication.ActiveUnreachable}
		w.What, w.Do = SilentActive(r)
		return w.since(r.PeerHeard, s.At)
	}
	return Writes{State: WritesRefused, Host: r.PeerName, Why: replication.Starting, What: fmt.Sprintf("%s has not heard yet how the gate of %s stands", r.Self, r.PeerName),
		Do: "Ask again in a moment."}
}

// SilentActive says what is so, and what to do, where the active's daemon does not answer and its database does.
func SilentActive(r replication.Report) (what, do string) {
	return fmt.Sprintf("keytrusteed on %s, the active, does not answer, though its database does", r.PeerName),
		fmt.Sprintf("Start keytrusteed on %s; if it runs, restart it: service keytrusteed restart.", r.PeerName)
}

// gateOf is an active's gate.
func (s Sight) gateOf(r replication.Report) Writes {
	if r.Open {
		return Writes{State: WritesOpen, Host: r.Self}.since(r.Since, s.At)
	}
	w := Writes{State: WritesRefused, Host: r.Self, Why: r.Reason, What: r.What, Do: r.Do}
	if r.Fenced != nil && s.Peer == nil && r.PeerName != "" { // the pair may be whole without this host
		w.Do += fmt.Sprintf(" Whether %s takes writes, ktadmin cluster summary says there.", r.PeerName)
	}
	if r.Since.Sub(r.Turned) > time.Second { // other reasons came before this one
		return w.since(r.Turned, s.At)
	}
	return w.since(r.Since, s.At)
}

const ofNoPair = "this host is of no pair yet"

// NoPairRemedy is what to do on a host that has no state: nothing was done on it yet, or its disk is a new one.
const NoPairRemedy = "If it was of a pair: docs/runbook/restore-from-passive.md, or, if both hosts are lost, docs/runbook/both-lost.md. A new pair: ktadmin db --bootstrap makes an active of it, ktadmin init-slave a passive."

// writesByFiles: no daemon answers. A passive without its daemon confirms nothing, so no active takes a write beside it.
func (s Sight) writesByFiles() Writes {
	w := Writes{State: WritesRefused, What: s.Down, Do: "Start it: service keytrusteed start."}
	if s.Stuck {
		w.Do = "Look at its process and its log, and restart it: service keytrusteed restart."
	}
	st := s.Status.State
	what, do, unended := s.Status.Journal.Unended()
	switch {
	case unended: // before its end nothing else is to be done
		w.What, w.Do = what+", and "+s.Down, do
		return w
	case st == nil:
		w.What, w.Do = ofNoPair, NoPairRemedy
		return w
	case st.Fenced != nil:
		w.Why, w.What, w.Do = st.Fenced.Reason, fmt.Sprintf("%s is fenced: %s; and %s", st.Self, st.Fenced.Detail, s.Down), "Start nothing yet. "+st.FenceRemedy()
		return w.since(st.Fenced.Since, s.At)
	case st.Duty == replication.Active:
		w.Host = st.Self
	case st.Peer != nil:
		w.Host, w.Why = st.Peer.Name, replication.PassiveDaemonDown
	}
	if st.Operation != nil {
		w.Why = st.Operation.Reason()
		note := ""
		if st.Operation.Note != "" {
			note = " (" + st.Operation.Note + ")"
		}
		w.What = fmt.Sprintf("a %s is under way%s, and %s", st.Operation.Kind, note, s.Down)
	}
	return w
}

func (w Writes) since(t, now time.Time) Writes {
	if !t.IsZero() {
		t = t.UTC().Truncate(time.Millisecond)
		w.Since, w.For = &t, max(0, now.Sub(t)).Truncate(time.Millisecond).Seconds()
	}
	return w
}
