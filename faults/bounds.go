package faults

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The bounds that are promised.
const (
	refusedWithin = 2 * time.Second
	nothingHangs  = 10 * time.Second
	openWithin    = 5 * time.Second
)

// givenUp is when a client gives a read up, by the history's clock, which begins after that of its patience.
const givenUp = readPatience - 100*time.Millisecond

// Around a fault a host may still be on its way down, or up again.
const settling = time.Second

// refusals: a host that is well refuses a write within 2 s, answers a read before its client gives it up, and leaves no write without an
// answer for more than 10 s.
func refusals(h History) Finding {
	var f Finding
	for _, o := range h.Ops {
		if o.Outcome == Unsent || touched(h, o.Host, o.Invoked-settling, o.Returned) || relayed(h, o) {
			continue // nobody promises that a host answers which is frozen or just dies
		}
		took, bound := o.Returned-o.Invoked, boundOf(o)
		switch {
		case took <= bound:
			f.Judged++
		case crowded(h, o.Invoked, o.Returned):
			f.Void = append(f.Void, fmt.Sprintf("the machine was crowded: %v", o))
		default:
			f.Judged++
			f.Violations = append(f.Violations, Violation{Key: o.Key, From: o.Invoked, To: o.Returned,
				Sentence: fmt.Sprintf("took %v, and %v is promised: %v", took.Round(time.Millisecond), bound, o)})
		}
	}
	return f
}

// boundOf is how long a host that is well may take for the delivery.
func boundOf(o Op) time.Duration {
	switch {
	case o.Kind.writes() && o.Outcome == Refused:
		return refusedWithin
	case !o.Kind.writes() && o.Outcome == Unknown:
		return givenUp
	}
	return nothingHangs
}

// relayed reports whether the refusal may be that of the other host while a fault was at work on that or on the line between them: the one
// asked had sent the write and had to wait for it, since it did not know whether it was attempted. What it refuses by itself is judged.
func relayed(h History, o Op) bool {
	if !o.Kind.writes() || o.Outcome != Refused || strings.HasSuffix(o.Answer, "active_unreachable") {
		return false
	}
	return slices.ContainsFunc(h.of(Fault), func(e Event) bool {
		return e.At <= o.Returned && max(e.Until, e.Over) >= o.Invoked-settling
	})
}

// liveness: within 5 s after all is healed writes are seen open, or one is acknowledged.
func liveness(h History) Finding {
	var f Finding
	for _, healed := range h.of(Healed) {
		open, ends := time.Duration(-1), h.Duration+time.Hour
		earlier := func(t time.Duration) {
			if open < 0 || t < open {
				open = t
			}
		}
		for _, look := range h.of(Looked) {
			if look.Open && look.At >= healed.At {
				earlier(look.Until)
			}
		}
		for _, o := range h.Ops {
			if o.acknowledged() && o.Invoked >= healed.At {
				earlier(o.Returned)
			}
		}
		for _, d := range h.of(Disturbed) {
			if d.At >= healed.At {
				ends = min(ends, d.At)
			}
		}
		due := healed.At + openWithin
		switch {
		case open >= 0 && open <= due:
			f.Judged++
		case ends < due:
			f.Void = append(f.Void, fmt.Sprintf("disturbed at %v, too soon to judge: %v", ends, healed))
		case crowded(h, healed.At, due):
			f.Void = append(f.Void, fmt.Sprintf("the machine was crowded: %v", healed))
		default:
			f.Judged++
			f.Violations = append(f.Violations, Violation{From: healed.At, To: max(due, open),
				Sentence: fmt.Sprintf("writes are not open %v after everything was healed; they were at %v: %v", openWithin, open, healed)})
		}
	}
	return f
}

// openShare is the part of the run during which the active was seen to take writes: each sight counts until the next, for a second at most.
func openShare(h History) float64 {
	looks := slices.DeleteFunc(h.of(Looked), func(e Event) bool { return e.Reason == fromPassive })
	slices.SortFunc(looks, func(a, b Event) int { return int(a.Until - b.Until) })
	var open time.Duration
	for i, look := range looks {
		next := look.Until + time.Second
		if i+1 < len(looks) {
			next = min(next, looks[i+1].Until)
		}
		if look.Open {
			open += next - look.Until
		}
	}
	return float64(open) / float64(max(h.Duration, 1))
}

// fromPassive marks the health of a passive, which has no gate.
const fromPassive = "passive"
