package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

// clients is how many work at a time, each as a user of its own.
const clients = 12

// Run hurts the pair for that long, as the seed says, while clients work on it, and records all of it. It ends the test where something
// goes wrong that no checker could judge; what was recorded by then can still be judged.
func Run(t testing.TB, p *pairtest.Pair, record *Recorder, seed uint64, duration time.Duration) {
	t.Helper()
	roots, err := loadRoots(p.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	newCaller := func(number int) *caller { return newCaller(number, roots, p.Dial, record) }
	var hosts []Host
	for _, n := range p.Nodes {
		hosts = append(hosts, Host{n.Name, n.URL})
	}

	ctx, stop := context.WithCancel(t.Context())
	var works, looks sync.WaitGroup
	defer looks.Wait()
	defer works.Wait()
	defer stop()
	looking, stopLooking := context.WithCancel(t.Context())
	defer stopLooking()
	looks.Go(func() { canary(looking, record) })
	var observers []*observer
	for i, n := range p.Nodes {
		o := newObserver(hosts[i], n.Home, newCaller(0), record)
		observers = append(observers, o)
		looks.Go(func() { o.run(looking) })
	}
	open := func() time.Duration {
		last := time.Duration(0)
		for _, o := range observers {
			last = max(last, time.Duration(o.opened.Load()))
		}
		return last
	}
	keys := &pool{seed: seed}
	for number := 1; number <= clients; number++ {
		w := &worker{caller: newCaller(number), hosts: hosts, pool: keys, random: rand.New(rand.NewPCG(seed, uint64(1+number)))}
		works.Go(func() { w.run(ctx) })
	}

	m := &nemesis{t: t, pair: p, record: record, open: open}
	m.run(Plan(seed, duration), duration)
	stop()
	works.Wait()
	atTheEnd(t, p, hosts, func() *caller { return newCaller(0) }, record)
}

// Summary says what the history shows: the tally, what each checker found, and every violation with the shortest history that shows it.
// Violated and void exclude each other; neither means that the run counts, and kept all promises.
func Summary(h History) (text string, violated bool, void []string) {
	tally, found := Count(h), Judge(h)
	text = fmt.Sprintf("seed %d, %v: %v\n%s", h.Seed, h.Duration, tally, report(found))
	for _, c := range Checkers {
		violations := found[c.Name].Violations
		violated = violated || len(violations) > 0
		for _, v := range violations[:min(shown, len(violations))] {
			text += fmt.Sprintf("VIOLATION %v\n%v", v, Shrink(h, v))
		}
		if more := len(violations) - shown; more > 0 {
			text += fmt.Sprintf("and %d more of %s\n", more, c.Name)
		}
	}
	if violated {
		return text, true, nil
	}
	return text, false, tally.Void(h.Duration, found)
}

// shown is how many violations of one checker are told, with the shortest history of each.
const shown = 3
