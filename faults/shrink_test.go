package faults

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// busy is a history of many keys in which everything is as promised, and the version that was lost is seen to be lost three times.
func busy() History {
	h := History{Seed: 7, Duration: time.Minute}
	random := rand.New(rand.NewPCG(1, 2))
	at := time.Duration(0)
	add := func(o Op) {
		o.ID, o.Host = len(h.Ops)+1, []string{"a", "b"}[random.IntN(2)]
		o.Invoked, at = at+ms, at+2*ms
		o.Returned = at
		h.Ops = append(h.Ops, o)
	}
	for n := range 20 {
		key := fmt.Sprintf("k%d", n)
		add(Op{Kind: Create, Key: key, Outcome: Done, Served: v(0, key+"/0")})
		for version := 1; version < 10; version++ {
			made := v(version, fmt.Sprintf("%s/%d", key, version))
			add(Op{Kind: Roll, Key: key, Outcome: Done, Served: made})
			add(Op{Kind: Current, Key: key, Outcome: Done, Served: made})
		}
		h.Events = append(h.Events, Event{Kind: Healed, At: at}, Event{Kind: Looked, Open: true, At: at, Until: at + ms})
	}
	for range 3 {
		add(Op{Kind: Current, Key: "k4", Outcome: Done, Served: v(8, "k4/8")})
	}
	return h
}

func TestShrink(t *testing.T) {
	for _, checker := range []string{"monotonic", "linearizable"} {
		h := busy()
		found := Judge(h)[checker].Violations
		if len(found) == 0 {
			t.Fatalf("%s found nothing", checker)
		}
		small := Shrink(h, found[0])
		var said []string
		for _, o := range small.Ops {
			said = append(said, o.String())
		}
		text := strings.Join(said, "\n")
		last := small.Ops[len(small.Ops)-1]
		enough := map[string]int{"monotonic": 2, "linearizable": 11}[checker]
		if last.Kind != Current || last.Served[0].Number != 8 || !strings.Contains(text, "@9=k4/9") || len(small.Ops) > enough || len(small.Events) > 0 {
			t.Errorf("%s: %d operations and %d events are left:\n%s", checker, len(small.Ops), len(small.Events), text)
		}
		if len(Judge(small)[checker].Violations) == 0 {
			t.Errorf("%s: what is left shows nothing", checker)
		}
	}
}

// TestRecorded: what was recorded is read as it was, and judged alike.
func TestRecorded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	r, err := Record(path, 7, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	want := busy()
	want.Events = append(want.Events, Event{Kind: Census, Source: OnDisk, Host: "a", Keys: map[string]Key{"k": {true, 1, []string{"h"}}}},
		Event{Kind: Fault, Name: "kill", Touched: []string{"a"}, Severed: true, At: 1, Until: 2})
	for _, o := range want.Ops {
		r.Op(o)
	}
	for _, e := range want.Events {
		r.Event(e)
	}
	got, err := r.Close()
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("recorded something else: %v", err)
	}
	read, err := Load(path)
	if err != nil || !reflect.DeepEqual(read, want) {
		t.Errorf("read something else: %v\n%+v", err, read)
	}
	info, err := os.Stat(path)
	if err != nil || os.Truncate(path, info.Size()-10) != nil {
		t.Fatal(err)
	}
	if read, err = Load(path); err != nil || len(read.Ops) != len(want.Ops) || len(read.Events) != len(want.Events)-1 {
		t.Errorf("of a run that was killed: %v, %d operations, %d events", err, len(read.Ops), len(read.Events))
	}
}

// TestVoid: a run has to have done enough, in proportion to its length, and a run in which much could not be judged does not count.
func TestVoid(t *testing.T) {
	enough := Tally{Acknowledged: 800, Faults: map[string]int{"a": 2, "b": 2, "c": 2, "d": 2, "e": 2, "f": 2, "g": 2, "h": 2}, Destroyed: 2, Open: 0.5}
	all := func(judged, void int) map[string]Finding {
		found := map[string]Finding{}
		for _, c := range Checkers {
			found[c.Name] = Finding{Judged: judged, Void: make([]string, void)}
		}
		return found
	}
	const two = 2 * time.Minute
	if why := enough.Void(two, all(100, 2)); len(why) > 0 {
		t.Errorf("a run that counts is void: %v", why)
	}
	for name, change := range map[string]func(*Tally){
		"acknowledged writes": func(t *Tally) { t.Acknowledged = 799 },
		"faults":              func(t *Tally) { t.Faults = map[string]int{"a": 15} },
		"kinds of faults":     func(t *Tally) { t.Faults = map[string]int{"a": 15, "b": 1} },
		"destroyed disks":     func(t *Tally) { t.Destroyed = 1 },
		"the gate was open":   func(t *Tally) { t.Open = 0.29 },
	} {
		short := enough
		change(&short)
		if why := strings.Join(short.Void(two, all(100, 0)), "; "); !strings.Contains(why, name) {
			t.Errorf("without enough %s: %q", name, why)
		}
	}
	if why := enough.Void(two, all(100, 6)); len(why) != len(Checkers) {
		t.Errorf("with 6 of 106 cases not judged: %v", why)
	}
	if why := enough.Void(two, all(0, 0)); len(why) != len(Checkers) {
		t.Errorf("with nothing judged: %v", why)
	}
}
