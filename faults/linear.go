package faults

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// patience is how long the search for an order of one key's operations may take.
const patience = 10 * time.Second

// linearizable looks for each key and each host for an order of all writes of the key and the reads at that host that explains every answer
// and respects real time. The hosts are searched apart: the passive shows a write as soon as it has it, which may be an instant before the
// active is sure of it and shows it too. What is acknowledged has taken effect at both.
func linearizable(h History) Finding {
	var f Finding
	byKey := map[string][]Op{}
	hosts := map[string]bool{}
	for _, o := range joined(h.Ops) {
		byKey[o.Key] = append(byKey[o.Key], o)
		hosts[o.Host] = true
	}
	stood := h.of(Stood)
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		for _, host := range slices.Sorted(maps.Keys(hosts)) {
			switch view := viewOf(byKey[key], host, stood); porcupine.CheckOperationsTimeout(model, operations(view), patience) {
			case porcupine.Ok:
				f.Judged++
			case porcupine.Unknown:
				f.Void = append(f.Void, fmt.Sprintf("no order was found or ruled out within %v: %s at %s, %d operations", patience, key, host, len(view)))
			case porcupine.Illegal:
				f.Judged++
				f.violated(key, "no order of the writes of %s explains what %s answered", key, host)
			}
		}
	}
	return f
}

// viewOf returns what took effect at the host, and what it showed. A write that its key's state forbade tells of the state at the host that
// did it, if that is known.
func viewOf(ops []Op, host string, stood []Event) []Op {
	var view []Op
	for _, o := range ops {
		switch {
		case o.mayChange(),
			o.Kind.writes() && o.Outcome == Failed && doneAt(stood, o) == host,
			!o.Kind.writes() && o.Host == host && (o.Outcome == Done || o.Outcome == Absent):
			view = append(view, o)
		}
	}
	return view
}

// doneAt is the host that judged the write: the one asked if it was the active all the while, the other one if it was the passive.
func doneAt(stood []Event, o Op) string {
	switch standing(stood, o.Host, o.Invoked, o.Returned).Duty {
	case "active":
		return o.Host
	case "passive":
		for _, e := range stood {
			if e.Host != o.Host && standing(stood, e.Host, o.Invoked, o.Returned).Duty == "active" {
				return e.Host
			}
		}
	}
	return ""
}

func operations(ops []Op) []porcupine.Operation {
	all := make([]porcupine.Operation, 0, len(ops))
	for _, o := range ops {
		ends := int64(o.Returned)
		if o.Outcome == Unknown {
			ends = math.MaxInt64
		}
		all = append(all, porcupine.Operation{ClientId: o.Client, Input: o, Call: int64(o.Invoked), Return: ends})
	}
	return all
}
