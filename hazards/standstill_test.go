package hazards_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

// fault is something that keeps the passive from confirming, from the moment at which happen returns until undo does.
type fault struct {
	name   string
	happen func(t *testing.T, p *pairtest.Pair) (undo func(t *testing.T))
	says   []string // the reasons that may be given
	dark   bool     // the passive can not answer reads meanwhile
}

// plays lets the fault happen to the pair. The gate shuts in time; from then on no write is acknowledged and each is refused at once; what was
// under way is not shown; known keys are served by every host that can; and when the fault is over, the gate opens in time and both hosts have
// what was under way.
func (f fault) plays(t *testing.T, p *pairtest.Pair) {
	known, material := p.Active.MustCreate(t)
	undo := f.happen(t, p)
	since := time.Now()
	underWay := pairtest.NewKey()
	answer := make(chan pairtest.Answer, 1)
	go func() { answer <- p.Active.Create(t, underWay) }()
	p.AwaitShut(t, since, f.says...)
	p.Active.MustRefuse(t, f.says...)
	stays(t, 500*time.Millisecond, "nothing is acknowledged, and what is known is served", func() error {
		if _, here := p.Active.Version(t, known, 0); here != material {
			return errors.New("the active does not serve a key")
		}
		if _, ghost := p.Active.Version(t, underWay, 0); ghost != "" {
			return errors.New("the active serves a key that was not acknowledged")
		}
		if a := p.Active.Create(t, pairtest.NewKey()); a.Status != 503 || a.Reason == "outcome_unknown" || a.Took > pairtest.RefusedLimit {
			return fmt.Errorf("a create: %v", a)
		}
		if len(answer) > 0 {
			return fmt.Errorf("what was under way: %v", <-answer)
		}
		if f.dark {
			return nil
		}
		if _, there := p.Passive.Version(t, known, 0); there != material {
			return errors.New("the passive does not serve a key")
		}
		return nil
	})
	over := time.Now()
	undo(t)
	p.AwaitOpen(t, over)
	told := <-answer
	if t.Logf("what was under way: %v", told); told.Status != 201 && told.Reason != "outcome_unknown" {
		t.Errorf("what was under way: %v", told)
	}
	pairtest.Await(t, 10*time.Second, "both hosts have what was under way", func() bool {
		_, here := p.Active.Version(t, underWay, 0)
		_, there := p.Passive.Version(t, underWay, 0)
		return here == there && here != ""
	})
}

// freezes is the fault that these stand still at the host.
func freezes(of func(*pairtest.Pair) *pairtest.Node, what ...string) func(*testing.T, *pairtest.Pair) func(*testing.T) {
	return func(t *testing.T, p *pairtest.Pair) func(*testing.T) {
		n := of(p)
		n.Freeze(t, what...)
		return func(t *testing.T) { n.Thaw(t, what...) }
	}
}

func active(p *pairtest.Pair) *pairtest.Node  { return p.Active }
func passive(p *pairtest.Pair) *pairtest.Node { return p.Passive }

// TestH13Standstill: parts of the pair stand still while all connections stay, some of which PostgreSQL never notices. Nothing is acknowledged
// that is not applied on the passive.
func TestH13Standstill(t *testing.T) {
	p := confirmed(t)
	stale := []string{"passive_stale"}
	for _, f := range []fault{
		{name: "replay is paused", happen: pausesReplay, says: []string{"replay_paused", "passive_stale"}},
		{name: "the replaying process", happen: freezes(passive, pairtest.Replay), says: stale},
		{name: "the walreceiver", happen: freezes(passive, pairtest.Walreceiver), says: []string{"passive_stale", "passive_not_streaming"}},
		{name: "the walsender", happen: freezes(active, pairtest.Walsender), says: stale},
		{name: "the passive's PostgreSQL", happen: freezes(passive, pairtest.PostgreSQL), says: []string{"passive_stale", "passive_not_streaming"}, dark: true},
		{name: "the passive's daemon", happen: freezes(passive, pairtest.Keytrusteed), says: []string{"passive_daemon_down"}, dark: true},
		{name: "the whole passive", happen: freezes(passive), dark: true,
			says: []string{"passive_daemon_down", "passive_unreachable", "passive_stale"}},
	} {
		t.Run(f.name, func(t *testing.T) { f.plays(t, p) })
	}
}

func pausesReplay(t *testing.T, p *pairtest.Pair) func(*testing.T) {
	execute(t, p.Passive.SQL(t), "SELECT pg_wal_replay_pause()")
	return func(t *testing.T) { execute(t, p.Passive.SQL(t), "SELECT pg_wal_replay_resume()") }
}

// TestCuts: what one host sends, or both, does not arrive, or is answered with a reset.
func TestCuts(t *testing.T) {
	p := confirmed(t)
	gone := []string{"passive_daemon_down", "passive_unreachable", "passive_stale", "passive_not_streaming"}
	heals := func(t *testing.T) { p.Heal(t) }
	for _, f := range []fault{
		{name: "both ways", happen: func(t *testing.T, p *pairtest.Pair) func(*testing.T) { p.Cut(t); return heals }},
		{name: "from the active", happen: func(t *testing.T, p *pairtest.Pair) func(*testing.T) { p.Active.CutTo(t, p.Passive); return heals }},
		{name: "from the passive", happen: func(t *testing.T, p *pairtest.Pair) func(*testing.T) { p.Passive.CutTo(t, p.Active); return heals }},
		{name: "resets", happen: func(t *testing.T, p *pairtest.Pair) func(*testing.T) { p.Reject(t); return heals }},
	} {
		f.says = gone
		t.Run(f.name, func(t *testing.T) { f.plays(t, p) })
	}
}

// TestBufferedHeartbeats: the active stands still with answers of the passive in its sockets, and the passive dies meanwhile. When it goes on,
// with writes that waited for it, none of them is acknowledged on the word of a host that is dead.
func TestBufferedHeartbeats(t *testing.T) {
	p := confirmed(t)
	known, material := p.Active.MustCreate(t)
	for _, what := range [][]string{{pairtest.Keytrusteed}, nil} {
		t.Run(fmt.Sprint(what), func(t *testing.T) {
			p.Active.Freeze(t, what...)
			type told struct {
				pairtest.Answer
				at time.Time
			}
			answers := make(chan told, 20)
			for range cap(answers) { // the first things that it sees
				go func() { answers <- told{p.Active.Create(t, pairtest.NewKey()), time.Now()} }()
			}
			time.Sleep(500 * time.Millisecond) // two heartbeats: the passive has answered what it was asked, and nothing shows when
			p.Passive.Kill(t)
			p.Active.Thaw(t, what...)
			thawed := time.Now()
			for range cap(answers) {
				a := <-answers
				if err := acknowledged(a.Answer); err != nil {
					t.Error(err)
				}
				if took := a.at.Sub(thawed); a.Reason != "outcome_unknown" && took > pairtest.RefusedLimit {
					t.Errorf("refused %v after the active went on: %v", took.Round(time.Millisecond), a.Answer)
				}
			}
			p.Active.MustRefuse(t, "passive_unreachable", "passive_daemon_down", "passive_not_streaming", "starting")
			if p.Active.MustServe(t, known) != material {
				t.Error("another key is served")
			}
			p.Up(t)
		})
	}
}
