package replication

import (
	"fmt"
	"strings"
)

// Decision is what follows from a Status.
type Decision struct {
	Open   bool   `json:"open"`
	Reason Reason `json:"reason,omitempty"` // empty only when open, or at a passive in order
	Detail string `json:"detail,omitempty"` // which of several, with the values seen
	Remedy string `json:"remedy,omitempty"` // what to do, where the reason's own remedy is not the one
	what   string // what is so, where the reason's own words are not the ones
	// Fence: this node must fence itself, durably, before anything else.
	Fence bool   `json:"fence,omitempty"`
	Met   *Epoch `json:"met,omitempty"` // the epoch that it fences itself for
}

// Decide says whether the gate is open, or else the first reason why not, gravest first. At a passive the gate is never
// open; no reason there means that the active can be asked. It is pure: no clock, no I/O.
func Decide(s Status, p Policy) Decision {
	p = p.withDefaults()
	rules := activeRules
	if s.Duty == Passive {
		rules = passiveRules
	}
	for _, rule := range rules {
		if d := rule(s, p); d.Reason != "" {
			return d.unconfirmed(s, p)
		}
	}
	return Decision{Open: s.Duty == Active}
}

// unconfirmed: a new active whose passive does not follow yet is told what brings that, as if the switchover had ended.
func (d Decision) unconfirmed(s Status, p Policy) Decision {
	if o := s.Operation; d.Reason != Switchover || o.Step != StepConfirm {
		return d
	}
	s.Operation = nil
	if ended := Decide(s, p); !ended.Open {
		d.Remedy = ended.remedy()
	}
	return d
}

type rule func(Status, Policy) Decision

// activeRules, in order: what concerns this host alone, what the two hosts are to each other, what the operator still has
// to do, whether the passive is there, whether it is synchronous and could take over, whether both can open what they hold, and
// whether something new has come through.
var activeRules = []rule{fenced, conflict, operation, unpolled, localServer, noPeer, ownSettings, identity, comparison, syncNotEnabled,
	presence, versions, peerSettings, streaming, progress, whole, rootProofs, room, through}

var passiveRules = []rule{fenced, conflict, operation, unpolled, localServer, notReady, activeGone}

var fine = Decision{}

func shut(r Reason, format string, args ...any) Decision {
	return Decision{Reason: r, Detail: fmt.Sprintf(format, args...)}
}

func (d Decision) better(remedy string) Decision { d.Remedy = remedy; return d }

func fenced(s Status, _ Policy) Decision {
	switch {
	case s.Fenced == nil:
		return fine
	case s.Fenced.Met != nil && s.Fenced.Met.Number > s.Epoch.Number:
		return shut(s.Fenced.Reason, "%s", s.Fenced.Detail).better(overtaken)
	case s.Fenced.Reason == EpochConflict && s.Duty == Passive:
		return shut(EpochConflict, "%s", s.Fenced.Detail).better(overtaken)
	}
	return shut(s.Fenced.Reason, "%s", s.Fenced.Detail)
}

// FenceRemedy says what to do on a host that is fenced; empty if s is of none that is.
func (s State) FenceRemedy() string {
	if s.Fenced == nil {
		return ""
	}
	peer := ""
	if s.Peer != nil {
		peer = s.Peer.Name
	}
	_, do := fenced(Status{Fenced: s.Fenced, Epoch: s.Epoch, Duty: s.Duty}, Policy{}).words(s.Self, peer)
	return do
}

// overtaken is for a host that has met a higher epoch: the pair has gone on without it, and the good copy is not here.
const overtaken = "{peer} has gone on without {self}, whose data is behind: leave {self} off, or stop its services and run ktadmin init-slave --reclone on it, with a token of ktadmin join-token on {peer} (--replace, if that has a passive)."

func conflict(s Status, _ Policy) Decision {
	if s.PeerName == "" || s.Peer.Epoch.IsZero() {
		return fine
	}
	fence := func(d Decision, met Epoch) Decision { d.Fence, d.Met = true, &met; return d }
	if s.Epoch.supersededBy(s.Peer.Epoch) && !s.Operation.hands(s.Peer.Epoch) && !s.untaken() {
		d := fence(shut(EpochConflict, "{self} is of epoch %s, {peer} of %s", s.Epoch, s.Peer.Epoch), s.Peer.Epoch)
		if s.Duty == Passive || s.Peer.Epoch.Number > s.Epoch.Number {
			d.Remedy = overtaken
		}
		return d
	}
	if s.Peer.Epoch == s.Epoch && s.Peer.Duty == Active && s.Duty == Active {
		return fence(shut(EpochConflict, "both hosts are active in epoch %s", s.Epoch), s.Peer.Epoch)
	}
	if s.Local.Epoch != nil && s.Epoch.supersededBy(*s.Local.Epoch) && s.Duty == Active {
		return fence(shut(EpochConflict, "{self} is of epoch %s, its database of %s", s.Epoch, s.Local.Epoch), *s.Local.Epoch)
	}
	return fine
}

func operation(s Status, p Policy) Decision {
	if s.Operation == nil {
		return fine
	}
	o := s.Operation
	d := shut(o.Reason(), "%s", o.Note)
	switch {
	case o.Kind == KindHold:
		d.Detail = fmt.Sprintf("%s; by %s, until %s", o.Note, o.By, o.Until.UTC().Format(stampLayout))
	case o.Kind == KindPromotion:
		d.what, d.Detail = "a promotion is under way", fmt.Sprintf("{self} is being promoted, by %s: step %s", o.By, o.Step)
	}
	d.Remedy = awaited(s, p)
	if s.StepTrouble != "" && o.Kind != KindHold {
		d.Detail = strings.TrimPrefix(d.Detail+"; it waits: "+s.StepTrouble, "; ")
	}
	return d
}

// awaited is what an operator has to do so that the operation goes on; empty where it goes on by itself, for all that is known, or as
// its reason says.
func awaited(s Status, p Policy) string {
	o := s.Operation
	down := s.Polled && (!s.Local.Answers || s.Age > p.AnswerLimit)
	silent := s.Polled && s.HeardAge > p.AnswerLimit
	switch follows := o.Kind == KindSwitchover && o.Step == StepFollow; {
	case down && (o.taking() || follows || o.Kind == KindRestore):
		return startDatabase
	case silent && (follows || s.Duty == Active && o.handing() && o.Step == StepHand):
		return startPeer + " If {peer} is lost for good, switch it off and run ktadmin cluster promote --fenced {peer} on {self}."
	case o.Kind == KindRestore && s.Duty == Active && silent:
		return startPeer + " Writes open by themselves. If it has given up the restore, begin it anew. If {peer} is lost for good, switch it off and run ktadmin cluster promote --fenced {peer} on {self}."
	case s.Polled && !silent && s.PeerAge > p.AnswerLimit && (follows || o.Kind == KindRestore && s.Duty == Active):
		return "Start keytrustee-db on {peer}; if it does not stay up, its log there says why."
	case o.Kind == KindRestore && s.Duty == Active:
		return "Wait for {peer} to take {self} in; if it stays so, the log of keytrusteed on {self} says why."
	}
	return ""
}

const startPeer = "Start keytrustee-db and keytrusteed on {peer}."

func unpolled(s Status, _ Policy) Decision {
	if !s.Polled {
		return shut(Starting, "")
	}
	return fine
}

func localServer(s Status, p Policy) Decision {
	switch {
	case !s.Local.Answers:
		return shut(Starting, "the database of {self} does not answer").better(startDatabase)
	case s.Age > p.AnswerLimit:
		return shut(Starting, "the database of {self} has not answered for %.1f s", s.Age.Seconds()).better(startDatabase)
	case s.Local.Role != s.Duty.role() && !s.Operation.forking(): // what a standby showed, it shows as a primary too
		return shut(Fenced, "{self} is %s, its database is a %s", s.Duty, s.Local.Role)
	case s.Local.SystemID != s.SystemID:
		return shut(Fenced, "the database of {self} is another one: system identifier %d, expected %d", s.Local.SystemID, s.SystemID)
	case s.Standing.Below != "":
		return shut(Fenced, "%s", s.Standing.Below).better(newerBack)
	}
	return fine
}

const (
	startDatabase = "Start keytrustee-db on {self}; if it does not stay up, its log says why."
	newerBack     = "Put its newer data back and start keytrustee-db; if that is gone, " + restoreSelf + "; see " + runbook + "."
)

func noPeer(s Status, _ Policy) Decision {
	switch {
	case s.PeerName == "" && s.PendingTrouble != "":
		return shut(Joining, "%s has been admitted; %s", s.Pending, s.PendingTrouble)
	case s.PeerName == "" && s.Pending != "":
		return shut(Joining, "%s has been admitted, and its copy has not started yet", s.Pending)
	case s.PeerName == "":
		return shut(NoPassive, "")
	}
	return fine
}
