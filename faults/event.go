package faults

import (
	"fmt"
	"time"
)

// EventKind is what happened beside the requests.
type EventKind string

// The events.
const (
	Fault     EventKind = "fault"     // was in effect from At to Until
	Healed    EventKind = "healed"    // from At on nothing is hurt, and all of both hosts runs
	Disturbed EventKind = "disturbed" // ends the calm that began with Healed
	Looked    EventKind = "looked"    // a host's health was asked at At and answered at Until
	Stood     EventKind = "stood"     // a host's state file said that
	Destroyed EventKind = "destroyed" // the disk of a host, with all that was on it
	Census    EventKind = "census"    // the keys that a host holds, between At and Until
	Crowded   EventKind = "crowded"   // the test itself got no processor between At and Until: no bound can be judged there
)

// Where a Census comes from.
const (
	OnDisk     = "disk"     // a copy of the host's data, taken while all of both hosts stood still, and started alone
	OnSurvivor = "survivor" // the database of the host that still lives after the other's disk was destroyed
	AtTheEnd   = "end"      // what the host serves when the run has ended and all is healed
)

// Event is one thing that happened. Times count from the beginning of the run.
type Event struct {
	Kind  EventKind     `json:"event"`
	At    time.Duration `json:"at"`
	Until time.Duration `json:"until,omitempty"`
	Host  string        `json:"host,omitempty"`

	// of a Fault
	Name    string        `json:"name,omitempty"`    // its kind, as the tally counts it
	Detail  string        `json:"detail,omitempty"`  // for people
	Touched []string      `json:"touched,omitempty"` // hosts that may not answer meanwhile, or not in time
	Severed bool          `json:"severed,omitempty"` // no confirmation can pass between the hosts meanwhile
	Over    time.Duration `json:"over,omitempty"`    // when what was touched was well again; Until is when that began

	// of Looked
	Open   bool   `json:"open,omitempty"` // the host is the active, and takes writes
	Reason string `json:"reason,omitempty"`

	// of Stood
	Duty  string `json:"duty,omitempty"`
	Epoch string `json:"epoch,omitempty"`

	// of a Census
	Source string         `json:"source,omitempty"`
	Keys   map[string]Key `json:"keys,omitempty"`
}

// Key is what a census found of one key.
type Key struct {
	Deleted  bool     `json:"deleted,omitempty"`
	Versions int      `json:"versions"`         // how many there are, numbered from 0 without a gap
	Hashes   []string `json:"hashes,omitempty"` // of their material, where it was read
}

func (e Event) String() string {
	span := fmt.Sprint(e.At.Round(time.Millisecond))
	if e.Until > 0 {
		span += "-" + fmt.Sprint(e.Until.Round(time.Millisecond))
	}
	switch e.Kind {
	case Fault:
		s := fmt.Sprintf("%s fault %s: %s", span, e.Name, e.Detail)
		if e.Severed {
			s += " (nothing can be confirmed meanwhile)"
		}
		return s
	case Looked:
		return fmt.Sprintf("%s looked at %s: writes open %t %s", span, e.Host, e.Open, e.Reason)
	case Stood:
		return fmt.Sprintf("%s %s is %s in epoch %s", span, e.Host, e.Duty, e.Epoch)
	case Census:
		return fmt.Sprintf("%s census (%s) of %s: %d keys", span, e.Source, e.Host, len(e.Keys))
	}
	return fmt.Sprintf("%s %s %s %s", span, e.Kind, e.Host, e.Detail)
}

// overlaps reports whether the event lasted into the span.
func (e Event) overlaps(from, to time.Duration) bool { return e.At <= to && e.Until >= from }
