package faults

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// What a run has to have done in each 5 minutes to count; a shorter one in proportion, and at least one of each.
const (
	tallySpan       = 5 * time.Minute
	wantedWrites    = 2000
	wantedFaults    = 40
	wantedKinds     = 8
	wantedDestroyed = 3
	wantedOpen      = 0.30 // of the time; not in proportion
	allowedVoid     = 0.05 // of the cases of one checker
)

// Tally is what a run did.
type Tally struct {
	Acknowledged, Refused, Unknown, Failed, Unsent int // deliveries of writes
	Reads, ReadsServed                             int
	Faults                                         map[string]int // by kind
	Destroyed                                      int
	Open                                           float64 // part of the time
	Crowded                                        time.Duration
}

// Count adds up a history.
func Count(h History) Tally {
	t := Tally{Faults: map[string]int{}, Destroyed: len(h.of(Destroyed)), Open: openShare(h)}
	for _, o := range h.Ops {
		if !o.Kind.writes() {
			t.Reads++
			if o.Outcome == Done || o.Outcome == Absent {
				t.ReadsServed++
			}
			continue
		}
		*map[Outcome]*int{Done: &t.Acknowledged, Refused: &t.Refused, Unknown: &t.Unknown, Failed: &t.Failed, Unsent: &t.Unsent}[o.Outcome]++
	}
	for _, e := range h.of(Fault) {
		t.Faults[e.Name]++
	}
	for _, e := range h.of(Crowded) {
		t.Crowded += e.Until - e.At
	}
	return t
}

func (t Tally) faults() int {
	n := 0
	for _, of := range t.Faults {
		n += of
	}
	return n
}

func (t Tally) String() string {
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(t.Faults)) {
		kinds = append(kinds, fmt.Sprintf("%s %d", kind, t.Faults[kind]))
	}
	return fmt.Sprintf("writes: %d acknowledged, %d refused, %d unknown, %d failed, %d unsent; reads: %d, %d answered; "+
		"%d faults of %d kinds (%s); %d disks destroyed; gate open %.0f %% of the time; machine crowded for %v",
		t.Acknowledged, t.Refused, t.Unknown, t.Failed, t.Unsent, t.Reads, t.ReadsServed,
		t.faults(), len(t.Faults), strings.Join(kinds, ", "), t.Destroyed, 100*t.Open, t.Crowded.Round(time.Millisecond))
}

// Void says why a run of that length proves nothing; no reason means that it counts.
func (t Tally) Void(duration time.Duration, found map[string]Finding) []string {
	var why []string
	share := float64(duration) / float64(tallySpan)
	need := func(got, wanted int, what string) {
		least := max(1, int(math.Ceil(float64(wanted)*share)))
		if got < least {
			why = append(why, fmt.Sprintf("%d %s, and %d are needed", got, what, least))
		}
	}
	need(t.Acknowledged, wantedWrites, "acknowledged writes")
	need(t.faults(), wantedFaults, "faults")
	need(t.Destroyed, wantedDestroyed, "destroyed disks")
	if kinds := min(wantedKinds, max(1, int(math.Ceil(wantedKinds*share)))); len(t.Faults) < kinds {
		why = append(why, fmt.Sprintf("%d kinds of faults, and %d are needed", len(t.Faults), kinds))
	}
	if t.Open < wantedOpen {
		why = append(why, fmt.Sprintf("the gate was open %.0f %% of the time, and %.0f %% are needed", 100*t.Open, 100*wantedOpen))
	}
	for _, c := range Checkers {
		f := found[c.Name]
		cases := f.Judged + len(f.Void)
		switch {
		case f.Judged == 0 && len(f.Violations) == 0:
			why = append(why, fmt.Sprintf("%s had nothing to judge", c.Name))
		case float64(len(f.Void)) > allowedVoid*float64(cases):
			why = append(why, fmt.Sprintf("%s could not judge %d of %d cases, such as: %s", c.Name, len(f.Void), cases, f.Void[0]))
		}
	}
	return why
}
