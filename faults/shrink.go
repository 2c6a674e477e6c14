package faults

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Shrink returns the shortest history that it finds in which the checker still sees the violation. It drops operations and events as long as
// the violation stays, and as long as it hangs on one observation: without that one, what is left is in order. So what is shown is the
// fault, and not that the cause of something was dropped. A violation of a bound of time is shown with all that happened meanwhile.
func Shrink(h History, v Violation) History {
	at := slices.IndexFunc(Checkers, func(c Checker) bool { return c.Name == v.Checker })
	wrong := func(lines []line) bool {
		return slices.ContainsFunc(Checkers[at].Check(assembled(h, lines)).Violations, func(found Violation) bool {
			return found.Key == v.Key && (v.Key != "" || found.Sentence == v.Sentence)
		})
	}
	if v.To > 0 {
		return assembled(h, slices.DeleteFunc(lines(h), func(l line) bool {
			named := l.op == nil || strings.Contains(v.Sentence, fmt.Sprintf("#%d ", l.op.ID))
			return !named || l.begins() > v.To || l.ends() < v.From
		}))
	}
	all := lines(h)
	if v.Key != "" {
		about := slices.DeleteFunc(slices.Clone(all), func(l line) bool { return l.op != nil && l.op.Key != v.Key })
		if wrong(about) {
			all = about
		}
	}
	all = untilSeen(all, wrong)
	proof := blamed(all, wrong)
	if proof == nil { // several observations prove it at once
		return assembled(h, all)
	}
	return assembled(h, reduced(all, func(some []line) bool {
		rest := slices.DeleteFunc(slices.Clone(some), proof.is)
		return len(rest) < len(some) && wrong(some) && !wrong(rest)
	}))
}

// line is an operation or an event.
type line struct {
	op    *Op
	event *Event
}

func (l line) is(other line) bool { return l == other }

func (l line) begins() time.Duration {
	if l.op != nil {
		return l.op.Invoked
	}
	return l.event.At
}

func (l line) ends() time.Duration {
	if l.op != nil {
		return l.op.Returned
	}
	return max(l.event.At, l.event.Until)
}

func lines(h History) []line {
	var all []line
	for i := range h.Ops {
		all = append(all, line{op: &h.Ops[i]})
	}
	for i := range h.Events {
		all = append(all, line{event: &h.Events[i]})
	}
	return all
}

func assembled(h History, lines []line) History {
	some := History{Seed: h.Seed, Duration: h.Duration}
	for _, l := range lines {
		if l.op != nil {
			some.Ops = append(some.Ops, *l.op)
		} else {
			some.Events = append(some.Events, *l.event)
		}
	}
	return some
}

// untilSeen returns what had happened when the violation was first seen.
func untilSeen(all []line, wrong func([]line) bool) []line {
	var ends []time.Duration
	for _, l := range all {
		ends = append(ends, l.ends())
	}
	slices.Sort(ends)
	until := func(end time.Duration) []line {
		return slices.DeleteFunc(slices.Clone(all), func(l line) bool {
			cause := l.op == nil || l.op.mayChange() // what is under way may explain what is seen
			return l.ends() > end && !cause || l.begins() > end
		})
	}
	first, _ := slices.BinarySearchFunc(ends, true, func(end time.Duration, _ bool) int {
		if wrong(until(end)) {
			return 1
		}
		return -1
	})
	if first == len(ends) {
		return all
	}
	return until(ends[first])
}

// reduced drops as many lines as it can while the rest still is as it shall be: halves, then quarters, at last one at a time.
func reduced(all []line, still func([]line) bool) []line {
	for size := (len(all) + 1) / 2; size > 0; size /= 2 {
		for from := 0; from < len(all); {
			fewer := slices.Delete(slices.Clone(all), from, min(from+size, len(all)))
			if still(fewer) {
				all = fewer
			} else {
				from += size
			}
		}
	}
	return all
}

// blamed returns the last line without which nothing is wrong; nil if there is none.
func blamed(all []line, wrong func([]line) bool) *line {
	latest := slices.Clone(all)
	slices.SortFunc(latest, func(a, b line) int { return cmp.Compare(b.ends(), a.ends()) })
	for _, l := range latest {
		if !wrong(slices.DeleteFunc(slices.Clone(all), l.is)) {
			return &l
		}
	}
	return nil
}

// String is the history in the order in which it happened, a line each.
func (h History) String() string {
	all := lines(h)
	slices.SortFunc(all, func(a, b line) int { return cmp.Compare(a.begins(), b.begins()) })
	var b strings.Builder
	for _, l := range all {
		if l.op != nil {
			fmt.Fprintf(&b, "    %v\n", l.op)
		} else {
			fmt.Fprintf(&b, "    %v\n", l.event)
		}
	}
	return b.String()
}
