package faults

import (
	"cmp"
	"slices"
	"time"
)

// joined returns the operations that the clients meant: deliveries that bear the same request id are one write, which began with the
// first of them and ended when its success was first told. A write without an id may claim the result of a like delivery of the same
// client that nobody was told of (docs/repeats.md); then it may have taken effect as early as that one, so it counts from its beginning.
// What was refused or never sent is not returned: it has no effect, which the checker of refusals holds it to.
func joined(ops []Op) []Op {
	ops = slices.Clone(ops)
	slices.SortFunc(ops, func(a, b Op) int { return cmp.Or(cmp.Compare(a.Invoked, b.Invoked), cmp.Compare(a.ID, b.ID)) })
	byID := map[string][]Op{}
	untold := map[identity]time.Duration{} // when the first like delivery was sent whose outcome nobody knows
	var all []Op
	for _, o := range ops {
		switch {
		case o.Kind.writes() && o.RequestID != "":
			byID[o.RequestID] = append(byID[o.RequestID], o)
			continue
		case o.Outcome == Refused || o.Outcome == Unsent:
			continue
		case o.Kind.writes():
			first, repeats := untold[identityOf(o)]
			if repeats && o.Outcome == Done {
				o.Invoked = first
			}
			if !repeats && o.Outcome == Unknown {
				untold[identityOf(o)] = o.Invoked
			}
		}
		all = append(all, o)
	}
	for _, deliveries := range byID {
		if o, counts := oneWrite(deliveries); counts {
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b Op) int { return cmp.Or(cmp.Compare(a.Invoked, b.Invoked), cmp.Compare(a.ID, b.ID)) })
	return all
}

// identity is what makes two deliveries without an id the same write for the server.
type identity struct {
	client     int
	kind       Kind
	key, given string
}

func identityOf(o Op) identity { return identity{o.Client, o.Kind, o.Key, o.Given} }

// oneWrite joins deliveries with the same request id, in the order in which they were sent.
func oneWrite(deliveries []Op) (joined Op, counts bool) {
	pick := func(want Outcome) *Op {
		var best *Op
		for i := range deliveries {
			if o := &deliveries[i]; o.Outcome == want && (best == nil || o.Returned < best.Returned) {
				best = o
			}
		}
		return best
	}
	if done := pick(Done); done != nil {
		joined = *done
	} else if unknown := pick(Unknown); unknown != nil {
		joined = *unknown
	} else if failed := pick(Failed); failed != nil {
		return *failed, true // nothing of it was attempted before: each delivery asked anew
	} else {
		return joined, false
	}
	joined.Invoked = deliveries[0].Invoked
	return joined, true
}
