package faults

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Violation is a promise that a history breaks.
type Violation struct {
	Checker  string
	Key      string // of which it is about, if of one
	Sentence string
	From, To time.Duration // what has to be shown with it, if it is about a bound of time
}

func (v Violation) String() string { return v.Checker + ": " + v.Sentence }

// Finding is what one checker found. Judged counts the cases that it could judge; Void says of each other one why it could not. What nothing
// is promised of, as of a host that is frozen, is no case.
type Finding struct {
	Violations []Violation
	Judged     int
	Void       []string
}

func (f *Finding) violated(key, format string, args ...any) {
	f.Violations = append(f.Violations, Violation{Key: key, Sentence: fmt.Sprintf(format, args...)})
}

// Checker holds a history to one promise. It is pure: the same history gives the same finding.
type Checker struct {
	Name    string
	Promise string
	check   func(History) Finding
}

// Check judges the history.
func (c Checker) Check(h History) Finding {
	f := c.check(h)
	for i := range f.Violations {
		f.Violations[i].Checker = c.Name
	}
	return f
}

// Checkers are all of them, in the order of docs/testing.md.
var Checkers = []Checker{
	{"acked-durable", "what was acknowledged is on the disk of each host", ackedDurable},
	{"served-durable", "what was served or acknowledged outlives the other host's disk", servedDurable},
	{"no-equivocation", "a version has one material for ever, a request id makes one version", noEquivocation},
	{"refused-is-absent", "what was refused never appears", refusedIsAbsent},
	{"unknown-settles", "in the end both hosts hold the same keys, and all that was ever served", unknownSettles},
	{"gate", "nothing is acknowledged that the other host can not have confirmed, and the gate shuts in time", gate},
	{"one-epoch", "no two epochs acknowledge at overlapping times", oneEpoch},
	{"monotonic", "what was served or acknowledged is served from then on", monotonic},
	{"refusals", "a refusal comes within 2 s, and no request hangs", refusals},
	{"liveness", "writes are open 5 s after all is healed", liveness},
	{"linearizable", "each host serves each key as one register that all writes went through in an order", linearizable},
}

// Judge is what all checkers find, by name.
func Judge(h History) map[string]Finding {
	found := map[string]Finding{}
	for _, c := range Checkers {
		found[c.Name] = c.Check(h)
	}
	return found
}

// crowded says whether the test itself was kept from the processor during the span; then no bound of time can be judged in it.
func crowded(h History, from, to time.Duration) bool {
	return slices.ContainsFunc(h.of(Crowded), func(e Event) bool { return e.overlaps(from, to) })
}

// touched reports whether a fault was at work on the host during the span.
func touched(h History, host string, from, to time.Duration) bool {
	return slices.ContainsFunc(h.of(Fault), func(e Event) bool {
		return slices.Contains(e.Touched, host) && e.At <= to && max(e.Until, e.Over) >= from
	})
}

// report says what was found, checker by checker.
func report(found map[string]Finding) string {
	var b strings.Builder
	for _, c := range Checkers {
		f := found[c.Name]
		fmt.Fprintf(&b, "%-18s %6d judged %4d void %3d violated  %s\n", c.Name, f.Judged, len(f.Void), len(f.Violations), c.Promise)
	}
	return b.String()
}
