package faults

import (
	"cmp"
	"context"
	"fmt"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

// nemesis hurts a pair as a plan says, and heals it. It belongs to one goroutine.
type nemesis struct {
	t      testing.TB
	pair   *pairtest.Pair
	record *Recorder
	open   func() time.Duration // when somebody last asked and found writes open
}

// patienceToOpen is how long writes may stay shut after a fault before the run is given up; liveness has long failed by then.
const patienceToOpen = 40 * time.Second

// run goes through the plan until the time is over. Nothing is hurt when it returns, and writes are open.
func (m *nemesis) run(plan []Step, until time.Duration) {
	m.t.Helper()
	m.healed()
	for n, s := range plan {
		m.rest(s.Calm)
		if m.record.Now()+s.For > until {
			return
		}
		m.t.Logf("%v: fault %d: %v", m.record.Now().Round(time.Millisecond), n+1, s)
		m.record.Event(Event{Kind: Disturbed, At: m.record.Now()})
		then := m.hurt(s)
		m.healed()
		for _, do := range then {
			do()
		}
	}
}

func (m *nemesis) rest(d time.Duration) { time.Sleep(d) } // as the plan says: there is nothing to wait for

// hurt lets the fault begin, and the one with it, and heals both. It returns what is left to do when writes are open.
func (m *nemesis) hurt(s Step) (then []func()) {
	m.t.Helper()
	var begun []Event
	var effects []effect
	var until time.Duration
	defer func() { // also where the run ends here: what was hurt explains what clients saw
		for _, f := range begun {
			f.Over = m.record.Now()
			f.Until = cmp.Or(until, f.Over)
			m.record.Event(f)
		}
	}()
	begin := func(s Step) {
		e := byName(s.Name).begin(m, s)
		f := Event{Kind: Fault, Name: s.Name, Detail: s.String(), At: m.record.Now(), Severed: e.severed}
		if e.since > 0 {
			f.At = e.since
		}
		for _, n := range e.touched {
			f.Touched = append(f.Touched, n.Name)
		}
		begun, effects = append(begun, f), append(effects, e)
		if e.then != nil {
			then = append(then, e.then)
		}
	}
	begin(s)
	if s.With == nil {
		m.rest(s.For)
	} else {
		m.rest(s.For / 3)
		begin(*s.With)
		m.rest(s.For - s.For/3)
	}
	until = m.record.Now()
	for _, e := range effects {
		if e.lift != nil {
			e.lift()
		}
	}
	for _, n := range m.pair.Nodes {
		n.Start(m.t)
	}
	m.pair.Roles(m.t)
	return then
}

// healed says that all is well, and returns when writes are open.
func (m *nemesis) healed() {
	m.t.Helper()
	at := m.record.Now()
	m.record.Event(Event{Kind: Healed, At: at})
	pairtest.Await(m.t, patienceToOpen, "writes are open", func() bool { return m.open() >= at })
}

func (m *nemesis) node(role string) *pairtest.Node {
	if role == "active" {
		return m.pair.Active
	}
	return m.pair.Passive
}

// backend names one process of the host's PostgreSQL that serves its daemon.
func (m *nemesis) backend(n *pairtest.Node) string {
	m.t.Helper()
	conn, err := n.Connect(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var pid int
	const one = `SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
		ORDER BY state = 'active' DESC, random() LIMIT 1`
	if err := conn.QueryRow(m.t.Context(), one).Scan(&pid); err != nil {
		m.t.Fatal(err)
	}
	return pairtest.Backend(pid)
}

func byName(name string) kind {
	for _, k := range kinds {
		if k.name == name {
			return k
		}
	}
	panic(fmt.Sprintf("there is no fault %q", name))
}
