package faults

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// shutWithin is how long a gate may stay open when nothing can be confirmed any more. It is the host's own clock that shuts it, so a crowded
// machine is no excuse.
const shutWithin = 1500 * time.Millisecond

// gate: while nothing can be confirmed between the hosts, no write that began after that is acknowledged, and the gate is soon seen shut.
func gate(h History) Finding {
	var f Finding
	for _, fault := range h.of(Fault) {
		if !fault.Severed {
			continue
		}
		for _, o := range h.Ops {
			if !o.Kind.writes() || o.Invoked <= fault.At || o.Returned >= fault.Until {
				continue
			}
			f.Judged++
			if o.acknowledged() && !repeated(h, o, fault.At) {
				f.violated(o.Key, "acknowledged while the other host could confirm nothing: %v; %v", o, fault)
			}
		}
		for _, look := range h.of(Looked) {
			if look.At <= fault.At+shutWithin || look.Until >= fault.Until {
				continue
			}
			f.Judged++
			if look.Open {
				f.violated("", "the gate is open %v after the other host could confirm nothing any more: %v; %v",
					(look.At - fault.At).Round(time.Millisecond), look, fault)
			}
		}
	}
	return f
}

// repeated reports whether the acknowledgement may be the claim of a write that was delivered before: it was confirmed then, and is told now.
func repeated(h History, o Op, before time.Duration) bool {
	return slices.ContainsFunc(h.Ops, func(first Op) bool {
		if o.RequestID != "" || first.RequestID != "" {
			return first.RequestID == o.RequestID && first.Invoked < before && first.mayChange()
		}
		return identityOf(first) == identityOf(o) && first.Invoked < before && first.Outcome == Unknown
	})
}

// oneEpoch: acknowledgements of two epochs never interleave. Whose an acknowledgement is, the state files say that were read around it; one
// for which they do not say it with certainty can not be judged. The claim of an earlier delivery's write is none: each of two hosts that are the
// active by mistake tells what both have.
func oneEpoch(h History) Finding {
	var f Finding
	type span struct {
		firstReturned, lastInvoked time.Duration
		first, last                Op
	}
	spans := map[string]*span{}
	stood := h.of(Stood)
	for _, o := range h.Ops {
		if !o.acknowledged() {
			continue
		}
		if repeated(h, o, o.Invoked) {
			continue
		}
		epoch := epochOf(stood, o)
		if epoch == "" {
			f.Void = append(f.Void, fmt.Sprintf("no state file says in which epoch: %v", o))
			continue
		}
		f.Judged++
		s := spans[epoch]
		if s == nil {
			s = &span{firstReturned: o.Returned, lastInvoked: o.Invoked, first: o, last: o}
			spans[epoch] = s
		}
		if o.Returned < s.firstReturned {
			s.firstReturned, s.first = o.Returned, o
		}
		if o.Invoked > s.lastInvoked {
			s.lastInvoked, s.last = o.Invoked, o
		}
	}
	epochs := slices.Sorted(maps.Keys(spans))
	for i, e := range epochs {
		for _, other := range epochs[i+1:] {
			a, b := spans[e], spans[other]
			if a.firstReturned < b.lastInvoked && b.firstReturned < a.lastInvoked {
				f.violated("", "epochs %s and %s both acknowledge: %v, %v and %v, %v", e, other, a.first, a.last, b.first, b.last)
			}
		}
	}
	return f
}

// epochOf returns the epoch of the host that did the write, if it is known that this host was the active in it all the while.
func epochOf(stood []Event, o Op) string {
	at := standing(stood, o.Host, o.Invoked, o.Returned)
	if at.Duty == "passive" { // it forwards
		for _, e := range stood {
			if e.Host != o.Host {
				at = standing(stood, e.Host, o.Invoked, o.Returned)
				break
			}
		}
	}
	if at.Duty != "active" {
		return ""
	}
	return at.Epoch
}

// standing returns what the host's state file said during the whole span; nothing if it changed, or may have. An event's At is when the
// file still said something else, its Until when it said this.
func standing(stood []Event, host string, from, to time.Duration) Event {
	var last Event
	for _, e := range stood {
		if e.Host != host {
			continue
		}
		if e.At < to && e.Until > from {
			return Event{}
		}
		if e.Until <= from && e.Until >= last.Until {
			last = e
		}
	}
	return last
}
