package replication_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keytrustee/postgres"
	"keytrustee/replication"
)

var handover = replication.Command{Act: replication.ActSwitchover, By: "root"}

// armed starts the daemon of h anew. It works until it has come to that point, and from then on takes no step any more, as
// if it had been killed there; also where it starts anew before, for its duty has changed. disarm ends that.
func (h *host) armed(point string) (there func() error) {
	h.t.Helper()
	h.stop()
	var reached atomic.Bool
	h.failpoint = func(at string) error {
		if at == point || reached.Load() {
			reached.Store(true)
			return errors.New("killed at " + point)
		}
		return nil
	}
	h.startDaemon()
	return func() error {
		if !reached.Load() {
			return fmt.Errorf("the operation is %+v", h.state.Current().Operation)
		}
		return nil
	}
}

// disarm ends the daemon of h; the next one is not killed.
func (h *host) disarm() {
	h.stop()
	h.failpoint = nil
}

// settle does what the services do: it starts a database that may start, and a daemon whose duty has changed. It returns when no
// operation is under way and writes are open, with p.active and p.passive as they are then.
func (p *pair) settle() {
	p.t.Helper()
	await(p.t, "end of the switchover", func() error {
		for _, h := range []*host{p.active, p.passive} {
			s := h.state.Current()
			if _, running := h.server.Pid(); !running && s.MayStart() == nil {
				h.startServer()
			}
			if s.Duty != h.duty {
				h.restart()
			}
		}
		a, b := p.active, p.passive
		if a.state.Current().Duty == replication.Passive {
			a, b = b, a
		}
		as, bs := a.state.Current(), b.state.Current()
		if as.Duty != replication.Active || bs.Duty != replication.Passive || as.Operation != nil || bs.Operation != nil {
			return fmt.Errorf("%s is %s with %+v, %s is %s with %+v", a.name, as.Duty, as.Operation, b.name, bs.Duty, bs.Operation)
		}
		p.active, p.passive = a, b
		if closed := a.monitor.Gate().Closed(); closed != nil {
			return closed
		}
		return nil
	})
}

// neverTwo looks at both state files until stop: two hosts that are active at once are of two epochs, and the older one's
// PostgreSQL does not run and may not start.
func (p *pair) neverTwo() (stop func()) {
	a, b := p.active, p.passive
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-end:
				return
			case <-time.After(time.Millisecond):
			}
			older, newer := mustState(p.t, a), mustState(p.t, b)
			host := a
			if older.Epoch.Number > newer.Epoch.Number {
				older, newer, host = newer, older, b
			}
			if older.Duty != replication.Active || newer.Duty != replication.Active {
				continue
			}
			if _, running := host.server.Pid(); running || older.MayStart() == nil || older.Epoch.Number == newer.Epoch.Number {
				p.t.Errorf("two actives: %s of epoch %s with %+v (its database runs: %t), and one of epoch %s", older.Self, older.Epoch, older.Operation, running, newer.Epoch)
			}
		}
	}()
	return sync.OnceFunc(func() { close(end); <-ended })
}

func mustState(t *testing.T, h *host) replication.State {
	file, err := replication.OpenState(h.statePath())
	if err != nil {
		t.Error(err)
		return replication.State{}
	}
	return file.Current()
}

// writesAt makes w write at h from now on.
func (w *writer) writesAt(h *host) {
	w.host, w.pool = h, h.newWriter().pool
}

// TestSwitchoverKilledAtEveryPoint hands over, the daemon of the active killed at one point after the other; and back, with that of the
// passive. Each goes on after its start; nothing that was acknowledged is missing at either host, and never are there two actives.
func TestSwitchoverKilledAtEveryPoint(t *testing.T) {
	p := newPair(t)
	w := p.active.newWriter()
	stop := p.neverTwo()
	defer stop()
	for _, points := range [][]string{
		{"closed", "stopped", "arrived", "handed", "signal", "following"}, // the active's
		{"has all", "taking over", "into " + replication.StepFork, "into " + replication.StepTake, "taking", "confirmed"},
	} {
		began := time.Now()
		w.must()
		old, next := p.active, p.passive
		epoch := old.monitor.State().Epoch
		old.dies(handover)
		victim := old
		if points[0] == "has all" {
			victim = next
			old.startDaemon()
		}
		for _, point := range points {
			p.until(point, victim.armed(point))
			victim.disarm()
			t.Logf("evidence: %s was killed at %q: %+v", victim.name, point, *victim.state.Current().Operation)
		}
		victim.startDaemon()
		p.settle()
		if p.active != next || p.active.monitor.State().Epoch.Number != epoch.Number+1 {
			t.Fatalf("%s is the active, of epoch %s: %+v", p.active.name, p.active.monitor.State().Epoch, old.monitor.State().Outcome)
		}
		w.writesAt(p.active)
		w.must()
		w.check(p.active)
		w.check(p.passive)
		if slots, names := p.active.keptFor(); len(slots) != 1 || names != `"`+slots[0]+`"` {
			t.Errorf("the new active keeps WAL in %v, commits wait for %s", slots, names)
		}
		if slots, _ := p.passive.keptFor(); len(slots) != 0 {
			t.Errorf("the new passive keeps WAL in %v, for nobody", slots)
		}
		t.Logf("killed at %d points and open again after %s", len(points), time.Since(began).Round(10*time.Millisecond))
	}
}

// until does what the services do until check returns nil.
func (p *pair) until(what string, check func() error) {
	p.t.Helper()
	await(p.t, what, func() error {
		err := check()
		if err == nil {
			return nil
		}
		for _, h := range []*host{p.active, p.passive} {
			s := h.state.Current()
			if _, running := h.server.Pid(); !running && s.MayStart() == nil {
				h.startServer()
			}
			if s.Duty != h.duty {
				h.restart()
			}
		}
		return err
	})
}

// TestSwitchoverTakenBack: what keeps the passive from taking over lets the active go on in its epoch, within seconds.
func TestSwitchoverTakenBack(t *testing.T) {
	p := newPair(t)
	a, b := p.active, p.passive
	w := a.newWriter()
	w.must()
	epoch := a.monitor.State().Epoch
	back := func(how string, says string) {
		t.Helper()
		p.settle()
		s := a.monitor.State()
		if p.active != a || s.Epoch != epoch || s.Outcome == nil || !strings.Contains(s.Outcome.Sentence, says) {
			t.Fatalf("%s: %s is the active of epoch %s, outcome %+v", how, p.active.name, s.Epoch, s.Outcome)
		}
		if o := b.monitor.State().Operation; o != nil {
			t.Errorf("%s: %s still has %+v", how, b.name, o)
		}
		t.Logf("evidence: %s: %s", how, s.Outcome.Sentence)
		w.must()
		w.check(a)
		w.check(b)
	}

	// A passive that is frozen when the active has shut down.
	there := a.armed("stopped")
	await(t, "acceptance", func() error { _, err := a.monitor.Operate(t.Context(), handover); return err })
	await(t, "shutdown", there)
	thaw := b.freeze("")
	b.freezeDaemon()
	a.disarm()
	began := time.Now()
	a.startDaemon()
	await(t, "end", func() error {
		if s := a.monitor.State(); s.Operation != nil {
			return fmt.Errorf("%+v", s.Operation)
		}
		return nil
	})
	t.Logf("evidence: given up after %s", time.Since(began).Round(10*time.Millisecond))
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the active waited %s for a frozen passive", took)
	}
	a.startServer()
	thaw()
	b.thawDaemon()
	back("frozen passive", "does not answer after the shutdown")

	// An active that lost its power while it shut down: what is left of it starts as what it was, once its daemon says so.
	a.dies(handover)
	there = a.armed("closed")
	await(t, "closed", there)
	a.disarm()
	a.change(func(s *replication.State) { s.Operation.Step = replication.StepStop })
	a.stopServer(postgres.Immediate)
	if err := replication.PrepareStart(a.server, mustState(t, a)); err == nil || !strings.Contains(err.Error(), "is handing over to kt02") {
		t.Errorf("an active that was handing over may start: %v", err)
	}
	a.startDaemon()
	back("power cut", "ended without its shutdown checkpoint")

	// The operator, at either host, before the passive has begun; not after.
	for _, at := range []*host{a, b} {
		a.dies(handover)
		there = a.armed("arrived")
		await(t, "arrived", there)
		at.operate(replication.Command{Act: replication.ActAbort, By: "root on " + at.name})
		a.disarm()
		a.startDaemon()
		back("abort at "+at.name, "aborted by root on "+at.name)
	}
	a.refused(replication.Command{Act: replication.ActAbort}, "no switchover is under way")

	// Once it was told to take over, the passive alone knows; it has not begun.
	a.dies(handover)
	there = b.armed("has all")
	a.startDaemon()
	await(t, "order to take over", there)
	b.freezeDaemon()
	a.refused(replication.Command{Act: replication.ActAbort, By: "root"}, "was told to take over and does not answer")
	b.thawDaemon()
	await(t, "abort", func() error { // unless the one before, which was not answered, has come through
		_, err := a.monitor.Operate(t.Context(), replication.Command{Act: replication.ActAbort, By: "root"})
		if a.monitor.State().Operation == nil {
			return nil
		}
		return err
	})
	b.disarm()
	b.startDaemon()
	back("abort after the order", "aborted by root")

	// The same, with the active dead: its passive will not take over, whatever the active says when it is back.
	a.dies(handover)
	there = a.armed("arrived")
	await(t, "arrived", there)
	a.disarm()
	await(t, "abort", func() error {
		_, err := b.monitor.Operate(t.Context(), replication.Command{Act: replication.ActAbort, By: "root"})
		return err
	})
	a.startDaemon()
	back("abort without the active", "aborted by root")

	a.dies(handover)
	there = b.armed("taking over")
	a.startDaemon()
	await(t, "takeover", there)
	for _, h := range []*host{a, b} {
		h.refused(replication.Command{Act: replication.ActAbort, By: "root"}, "")
	}
	b.disarm()
	b.startDaemon()
	p.settle()
	if p.active != b {
		t.Errorf("%s is the active after a takeover that had begun", p.active.name)
	}
	w.writesAt(b)
	w.must()
	w.check(a)
	w.check(b)
}
