package faults

import (
	"cmp"
	"slices"
	"time"
)

// monotonic: a version that was acknowledged is served by either host from then on, and one that a host has served is served by that host.
// Keys that somebody tries to delete are left to linearizable.
func monotonic(h History) Finding {
	var f Finding
	mortal := map[string]time.Duration{} // when somebody first tried to delete the key
	for _, o := range h.Ops {
		if first, known := mortal[o.Key]; o.Kind == Delete && (!known || o.Invoked < first) {
			mortal[o.Key] = o.Invoked
		}
	}
	byReturn := slices.Clone(h.Ops)
	slices.SortFunc(byReturn, func(a, b Op) int { return cmp.Or(cmp.Compare(a.Returned, b.Returned), cmp.Compare(a.ID, b.ID)) })
	reads := slices.DeleteFunc(slices.Clone(h.Ops), func(o Op) bool { return o.Kind.writes() || o.Outcome != Done && o.Outcome != Absent })
	slices.SortFunc(reads, func(a, b Op) int { return cmp.Or(cmp.Compare(a.Invoked, b.Invoked), cmp.Compare(a.ID, b.ID)) })

	type place struct{ key, host string }
	newest := map[place]Op{} // that proves the highest number; host "" is either
	number := map[place]int{}
	prove := func(at place, o Op) {
		for _, v := range o.Served {
			if known, ok := number[at]; !ok || v.Number > known {
				number[at], newest[at] = v.Number, o
			}
		}
	}
	next := 0
	for _, read := range reads {
		for ; next < len(byReturn) && byReturn[next].Returned < read.Invoked; next++ {
			o := byReturn[next]
			if o.acknowledged() {
				prove(place{o.Key, ""}, o)
			} else if o.Outcome == Done {
				prove(place{o.Key, o.Host}, o)
			}
		}
		if first, dies := mortal[read.Key]; dies && first <= read.Returned {
			continue
		}
		f.Judged++
		for _, host := range []string{"", read.Host} {
			at := place{read.Key, host}
			if want, known := number[at]; known && lacks(read, want) {
				f.violated(read.Key, "%s no longer serves %s@%d: %v; before that %v", read.Host, read.Key, want, read, newest[at])
				break
			}
		}
	}
	return f
}

// lacks reports whether the answer shows that the host does not have the version of that number.
func lacks(read Op, number int) bool {
	if read.Outcome == Absent {
		return read.Kind != Version || read.Number <= number
	}
	last := -1
	for _, v := range read.Served {
		last = max(last, v.Number)
	}
	return read.Kind != Version && last < number
}
