package faults

import (
	"strings"
	"testing"
	"time"
)

const ms = time.Millisecond

// told builds a hand-made history: each row is one delivery, and times are milliseconds.
func told(ops ...Op) History {
	h := History{Duration: time.Minute, Ops: ops}
	for i := range h.Ops {
		o := &h.Ops[i]
		o.ID, o.Key = i+1, "k"
		o.Invoked *= ms
		o.Returned *= ms
		if o.Host == "" {
			o.Host = "a"
		}
	}
	return h
}

func (h History) with(events ...Event) History {
	for _, e := range events {
		e.At *= ms
		e.Until *= ms
		h.Events = append(h.Events, e)
	}
	return h
}

func v(number int, hash string) []Served { return []Served{{number, hash}} }

var created = Op{Kind: Create, Invoked: 10, Returned: 20, Outcome: Done, Served: v(0, "h0")}

// TestCheckers shows each checker a history that keeps its promise, and one that breaks it.
func TestCheckers(t *testing.T) {
	rolled := Op{Kind: Roll, Invoked: 30, Returned: 40, Outcome: Done, Served: v(1, "h1")}
	read := func(host string, at time.Duration, number int, hash string) Op {
		return Op{Kind: Current, Host: host, Invoked: at, Returned: at + 5, Outcome: Done, Served: v(number, hash)}
	}
	absent := func(host string, at time.Duration) Op {
		return Op{Kind: Current, Host: host, Invoked: at, Returned: at + 5, Outcome: Absent}
	}
	disk := func(source string, versions int, deleted bool, hashes ...string) Event {
		return Event{Kind: Census, Source: source, Host: "b", At: 100, Until: 110, Keys: map[string]Key{"k": {deleted, versions, hashes}}}
	}
	severed := func(at, until time.Duration) Event {
		return Event{Kind: Fault, Name: "cut", At: at, Until: until, Severed: true}
	}
	active := func(host, epoch string, from time.Duration) Event {
		return Event{Kind: Stood, Host: host, Duty: "active", Epoch: epoch, At: from, Until: from}
	}
	kept, broken := map[string]bool{}, map[string]bool{}
	for _, test := range []struct {
		checker string
		name    string
		history History
		broken  string // part of the sentence; empty: the promise is kept
	}{
		{"acked-durable", "both versions", told(created, rolled).with(disk(OnDisk, 2, false)), ""},
		{"acked-durable", "a version is missing", told(created, rolled).with(disk(OnDisk, 1, false)), "without 1"},
		{"acked-durable", "acknowledged after the copy", told(created, Op{Kind: Roll, Invoked: 90, Returned: 105, Outcome: Done, Served: v(1, "h1")}).
			with(disk(OnDisk, 1, false)), ""},
		{"acked-durable", "a deletion is missing", told(created, Op{Kind: Delete, Invoked: 30, Returned: 40, Outcome: Done}).
			with(disk(OnDisk, 1, false)), "was deleted"},

		{"served-durable", "all that was shown", told(created, read("a", 50, 0, "h0")).with(disk(OnSurvivor, 1, false)), ""},
		{"served-durable", "a ghost was shown", told(created, read("a", 50, 1, "h1")).with(disk(OnSurvivor, 1, false)), "without 1"},
		{"served-durable", "other material", told(created).with(disk(OnSurvivor, 1, false, "other")), "other material"},

		{"no-equivocation", "one material", told(created, read("a", 50, 0, "h0"), read("b", 50, 0, "h0")), ""},
		{"no-equivocation", "two materials", told(created, read("a", 50, 0, "h0"), read("b", 50, 0, "h9")), "two materials"},
		{"no-equivocation", "one id, one version", told(created,
			Op{Kind: Roll, RequestID: "r", Invoked: 30, Returned: 40, Outcome: Done, Served: v(1, "h1")},
			Op{Kind: Roll, RequestID: "r", Invoked: 50, Returned: 60, Outcome: Done, Served: v(1, "h1")}), ""},
		{"no-equivocation", "one id, two versions", told(created,
			Op{Kind: Roll, RequestID: "r", Invoked: 30, Returned: 40, Outcome: Done, Served: v(1, "h1")},
			Op{Kind: Roll, RequestID: "r", Invoked: 50, Returned: 60, Outcome: Done, Served: v(2, "h2")}), "request id r"},
		{"no-equivocation", "one request twice, one of them never told", told(created,
			Op{Kind: Roll, RequestID: "r", Given: "g", Invoked: 30, Returned: 40, Outcome: Unknown},
			Op{Kind: Versions, Invoked: 50, Returned: 60, Outcome: Done, Served: []Served{{0, "h0"}, {1, "g"}, {2, "g"}}}), "one request made"},
		{"no-equivocation", "not what was sent", told(Op{Kind: Create, Given: "g", Invoked: 1, Returned: 2, Outcome: Done, Served: v(0, "h")}), "did not send"},

		{"refused-is-absent", "refused, then done", told(Op{Kind: Create, Given: "g", Invoked: 1, Returned: 2, Outcome: Refused},
			Op{Kind: Create, Given: "g", Invoked: 3, Returned: 4, Outcome: Done, Served: v(0, "g")}), ""},
		{"refused-is-absent", "refused and served", told(created, Op{Kind: Roll, Given: "g", Invoked: 30, Returned: 40, Outcome: Refused},
			read("a", 50, 1, "g")), "not attempted"},
		{"refused-is-absent", "a creation that was refused is in a census",
			told(Op{Kind: Create, Invoked: 1, Returned: 2, Outcome: Refused}).with(disk(OnDisk, 1, false)), "never attempted"},

		{"unknown-settles", "alike", told(created).with(disk(AtTheEnd, 1, false, "h0"), disk(AtTheEnd, 1, false, "h0")), ""},
		{"unknown-settles", "on one host only", told(created, Op{Kind: Roll, Invoked: 30, Returned: 40, Outcome: Unknown}).
			with(disk(AtTheEnd, 2, false, "h0", "h1"), disk(AtTheEnd, 1, false, "h0")), "at the end b has k as"},
		{"unknown-settles", "no host serves it", told(created).with(disk(AtTheEnd, 1, false), disk(AtTheEnd, 1, false)), "and serves 0"},
		{"unknown-settles", "one version is not served", told(created, rolled).
			with(disk(AtTheEnd, 2, false, "h0"), disk(AtTheEnd, 2, false, "h0")), "and serves 1"},
		{"unknown-settles", "what is deleted is not served", told(created).with(disk(AtTheEnd, 1, true), disk(AtTheEnd, 1, true)), ""},

		{"gate", "refused", told(Op{Kind: Create, Invoked: 2000, Returned: 2010, Outcome: Refused}).with(severed(1000, 9000)), ""},
		{"gate", "acknowledged alone", told(Op{Kind: Create, Invoked: 2000, Returned: 2010, Outcome: Done, Served: v(0, "h0")}).with(severed(1000, 9000)),
			"could confirm nothing"},
		{"gate", "a claim of what was confirmed before", told(
			Op{Kind: Create, RequestID: "r", Invoked: 900, Returned: 990, Outcome: Unknown},
			Op{Kind: Create, RequestID: "r", Invoked: 2000, Returned: 2010, Outcome: Done, Served: v(0, "h0")}).with(severed(1000, 9000)), ""},
		{"gate", "a claim of what was refused before", told(
			Op{Kind: Create, RequestID: "r", Invoked: 900, Returned: 990, Outcome: Refused},
			Op{Kind: Create, RequestID: "r", Invoked: 2000, Returned: 2010, Outcome: Done, Served: v(0, "h0")}).with(severed(1000, 9000)),
			"could confirm nothing"},
		{"gate", "shuts in time", told().with(severed(1000, 9000), Event{Kind: Looked, Host: "a", Open: true, At: 2400, Until: 2410},
			Event{Kind: Looked, Host: "a", At: 2600, Until: 2610}), ""},
		{"gate", "stays open", told().with(severed(1000, 9000), Event{Kind: Looked, Host: "a", Open: true, At: 2600, Until: 2610}), "the gate is open"},

		{"one-epoch", "one after the other", told(created, Op{Kind: Roll, Host: "b", Invoked: 60, Returned: 70, Outcome: Done, Served: v(1, "h1")}).
			with(active("a", "1", 0), active("b", "2", 50)), ""},
		{"one-epoch", "both at once", told(created, Op{Kind: Roll, Host: "b", Invoked: 60, Returned: 70, Outcome: Done, Served: v(1, "h1")},
			Op{Kind: Roll, Host: "a", Invoked: 80, Returned: 90, Outcome: Done, Served: v(2, "h2")}).
			with(active("a", "1", 0), active("b", "2", 50)), "both acknowledge"},
		{"one-epoch", "the older one tells of what both have", told(created, Op{Kind: Roll, RequestID: "r", Invoked: 30, Returned: 40, Outcome: Unknown},
			Op{Kind: Roll, Host: "b", Invoked: 60, Returned: 70, Outcome: Done, Served: v(2, "h2")},
			Op{Kind: Roll, RequestID: "r", Invoked: 80, Returned: 90, Outcome: Done, Served: v(1, "h1")}).
			with(active("a", "1", 0), active("b", "2", 50)), ""},
		{"one-epoch", "it tells of what it refused before", told(created, Op{Kind: Roll, RequestID: "r", Invoked: 30, Returned: 40, Outcome: Refused},
			Op{Kind: Roll, Host: "b", Invoked: 60, Returned: 70, Outcome: Done, Served: v(2, "h2")},
			Op{Kind: Roll, RequestID: "r", Invoked: 80, Returned: 90, Outcome: Done, Served: v(1, "h1")}).
			with(active("a", "1", 0), active("b", "2", 50)), "both acknowledge"},

		{"monotonic", "served for ever", told(created, rolled, read("a", 50, 1, "h1"), read("b", 60, 1, "h1")), ""},
		{"monotonic", "an acknowledged key is gone", told(created, absent("b", 50)), "no longer serves"},
		{"monotonic", "an older version is the newest", told(created, rolled, read("b", 50, 0, "h0")), "no longer serves"},
		{"monotonic", "what a host has served it serves", told(Op{Kind: Create, Invoked: 10, Returned: 900, Outcome: Unknown},
			read("a", 50, 0, "h0"), absent("a", 60)), "no longer serves"},
		{"monotonic", "the other host may be an instant behind", told(Op{Kind: Create, Invoked: 10, Returned: 900, Outcome: Unknown},
			read("b", 50, 0, "h0"), absent("a", 60)), ""},

		{"refusals", "at once", told(Op{Kind: Create, Invoked: 1, Returned: 1900, Outcome: Refused}), ""},
		{"refusals", "late", told(Op{Kind: Create, Invoked: 1, Returned: 2900, Outcome: Refused}), "is promised"},
		{"refusals", "relayed over a line that was cut", told(Op{Kind: Create, Invoked: 1, Returned: 2900, Outcome: Refused, Answer: "503 busy"}).
			with(severed(500, 2000)), ""},
		{"refusals", "of its own, beside such a line", told(Op{Kind: Create, Invoked: 1, Returned: 2900, Outcome: Refused, Answer: "503 active_unreachable"}).
			with(severed(500, 2000)), "is promised"},
		{"refusals", "hangs", told(Op{Kind: Roll, Invoked: 1, Returned: 12000, Outcome: Unknown}), "is promised"},
		{"refusals", "the host was frozen", told(Op{Kind: Roll, Invoked: 1, Returned: 12000, Outcome: Unknown}).
			with(Event{Kind: Fault, Touched: []string{"a"}, At: 500, Until: 9000}), ""},
		{"refusals", "a read is never answered", told(Op{Kind: Current, Invoked: 1, Returned: 3000, Outcome: Unknown}).
			with(Event{Kind: Fault, Touched: []string{"b"}, At: 1, Until: 9000}), "is promised"},
		{"refusals", "its host was frozen", told(Op{Kind: Current, Invoked: 1, Returned: 3000, Outcome: Unknown}).
			with(Event{Kind: Fault, Touched: []string{"a"}, At: 2900, Until: 9000}), ""},
		{"refusals", "its connection broke", told(Op{Kind: Current, Invoked: 1, Returned: 300, Outcome: Unknown}), ""},

		{"liveness", "opens", told().with(Event{Kind: Healed, At: 1000}, Event{Kind: Looked, Open: true, At: 3000, Until: 3010}), ""},
		{"liveness", "opens late", told().with(Event{Kind: Healed, At: 1000}, Event{Kind: Looked, Open: true, At: 6500, Until: 6510}), "not open"},
		{"liveness", "never opens", told().with(Event{Kind: Healed, At: 1000}), "not open"},

		{"linearizable", "in order", told(created, rolled, read("a", 50, 1, "h1"), Op{Kind: Delete, Invoked: 60, Returned: 70, Outcome: Done},
			absent("a", 80), Op{Kind: Undelete, Invoked: 90, Returned: 95, Outcome: Done}, read("b", 100, 1, "h1")), ""},
		{"linearizable", "a deleted key comes back by itself", told(created, Op{Kind: Delete, Invoked: 60, Returned: 70, Outcome: Done},
			absent("a", 80), read("a", 100, 0, "h0")), "no order"},
		{"linearizable", "an acknowledged version is lost, and its number used again", told(created, rolled,
			Op{Kind: Roll, Invoked: 50, Returned: 60, Outcome: Done, Served: v(1, "h2")}), "no order"},
		{"linearizable", "an unknown write may come late", told(created, Op{Kind: Roll, Given: "g", Invoked: 30, Returned: 40, Outcome: Unknown},
			read("a", 50, 0, "h0"), read("a", 5000, 1, "g")), ""},
		{"linearizable", "and may not go again", told(created, Op{Kind: Roll, Given: "g", Invoked: 30, Returned: 40, Outcome: Unknown},
			read("a", 50, 1, "g"), read("a", 5000, 0, "h0")), "no order"},
		{"linearizable", "a refused write has no effect", told(created, Op{Kind: Roll, Invoked: 30, Returned: 40, Outcome: Refused},
			read("a", 50, 1, "h1")), "no order"},
		{"linearizable", "a repeat without an id claims what was done before it", told(created,
			Op{Kind: Roll, Client: 1, Invoked: 30, Returned: 40, Outcome: Unknown}, read("a", 50, 1, "h1"),
			Op{Kind: Roll, Client: 1, Invoked: 60, Returned: 70, Outcome: Done, Served: v(1, "h1")}), ""},
		{"linearizable", "another client's can not", told(created,
			Op{Kind: Roll, Client: 1, Invoked: 30, Returned: 40, Outcome: Refused}, read("a", 50, 1, "h1"),
			Op{Kind: Roll, Client: 2, Invoked: 60, Returned: 70, Outcome: Done, Served: v(1, "h1")}), "no order"},
		{"linearizable", "it exists, and nobody made it", told(
			Op{Kind: Create, Invoked: 10, Returned: 20, Outcome: Failed}).with(active("a", "1", 0)), "no order"},
	} {
		t.Run(test.checker+"/"+test.name, func(t *testing.T) {
			found := Judge(test.history)[test.checker].Violations
			kept[test.checker] = kept[test.checker] || test.broken == ""
			broken[test.checker] = broken[test.checker] || test.broken != ""
			switch {
			case test.broken == "" && len(found) > 0:
				t.Errorf("a good history: %v", found)
			case test.broken != "" && (len(found) == 0 || !strings.Contains(found[0].Sentence, test.broken)):
				t.Errorf("found %v; want a violation with %q", found, test.broken)
			}
		})
	}
	for _, c := range Checkers {
		if !kept[c.Name] || !broken[c.Name] {
			t.Errorf("%s is not shown a history that it lets pass and one that it does not", c.Name)
		}
	}
}

// TestUnknownEpochIsVoid: an acknowledgement while the state file changed is of nobody knows which epoch, and that does not count as kept.
func TestUnknownEpochIsVoid(t *testing.T) {
	h := told(created).with(Event{Kind: Stood, Host: "a", Duty: "active", Epoch: "1"}, Event{Kind: Stood, Host: "a", Duty: "fenced", Epoch: "1", At: 15, Until: 30})
	if f := oneEpoch(h); len(f.Violations) > 0 || len(f.Void) != 1 || f.Judged != 0 {
		t.Errorf("%+v", f)
	}
}

// TestCrowdedIsVoid: on a machine that kept the test waiting a bound is not judged, and that does not count as kept.
func TestCrowdedIsVoid(t *testing.T) {
	late := told(Op{Kind: Create, Invoked: 1, Returned: 2900, Outcome: Refused}).with(Event{Kind: Crowded, At: 1000, Until: 1500})
	if f := refusals(late); len(f.Violations) > 0 || len(f.Void) != 1 || f.Judged != 0 {
		t.Errorf("%+v", f)
	}
	closed := told().with(Event{Kind: Healed, At: 1000}, Event{Kind: Crowded, At: 2000, Until: 2500})
	if f := liveness(closed); len(f.Violations) > 0 || len(f.Void) != 1 || f.Judged != 0 {
		t.Errorf("%+v", f)
	}
	lost := told(created, Op{Kind: Current, Invoked: 50, Returned: 60, Outcome: Absent}).with(Event{Kind: Crowded, At: 1, Until: 100})
	if f := monotonic(lost); len(f.Violations) != 1 {
		t.Errorf("a lost key was excused: %+v", f)
	}
}
