package pairtest_test

import (
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

// BenchmarkFault measures, of each fault, how long the gate stays open after it (shut-ms), how long it stays shut after what heals it
// (open-ms), and the longest wait of a write that was refused (refused-ms), under the load of four clients that create, or of none. One iteration is one
// trial: go test -run '^$' -bench Fault -benchtime 20x ./replication/pairtest. The clock starts before the call that hurts or heals.
func BenchmarkFault(b *testing.B) {
	p := pairtest.NewHosts(b, pairtest.Options{})
	freeze := func(n *pairtest.Node, what ...string) (hurt, heal func(b *testing.B)) {
		return func(b *testing.B) { n.Freeze(b, what...) }, func(b *testing.B) { n.Thaw(b, what...) }
	}
	cut := func(from ...*pairtest.Node) (hurt, heal func(b *testing.B)) {
		return func(b *testing.B) {
			for _, n := range from {
				n.CutTo(b, n.Other())
			}
		}, func(b *testing.B) { p.Heal(b) }
	}
	run := func(name string, hurt, heal func(b *testing.B)) {
		b.Run(name, func(b *testing.B) { measureFault(b, p, 4, hurt, heal) })
	}
	hurt, heal := cut(p.Nodes...)
	run("CutBothWays", hurt, heal)
	hurt, heal = cut(p.Passive)
	run("CutPassiveToActive", hurt, heal)
	hurt, heal = cut(p.Active)
	run("CutActiveToPassive", hurt, heal)
	hurt, heal = freeze(p.Passive)
	run("FrozenPassive", hurt, heal)
	hurt, heal = freeze(p.Passive, pairtest.Keytrusteed)
	run("FrozenDaemon", hurt, heal)
	hurt, heal = freeze(p.Passive, pairtest.PostgreSQL)
	run("FrozenDatabase", hurt, heal)
	hurt, heal = freeze(p.Passive, pairtest.Replay)
	run("FrozenReplay", hurt, heal)
	b.Run("FrozenReplayIdle", func(b *testing.B) { measureFault(b, p, 0, hurt, heal) })
	hurt, heal = freeze(p.Active, pairtest.Walsender)
	run("FrozenWalsender", hurt, heal)
	run("KilledPassive", func(b *testing.B) { p.Passive.Kill(b) }, func(b *testing.B) { p.Passive.Begin(b) })
}

func measureFault(b *testing.B, p *pairtest.Pair, clients int, hurt, heal func(b *testing.B)) {
	var shut, open, refused durations
	unknown := 0
	for range b.N {
		pairtest.Await(b, time.Minute, "the gate is open before the trial", func() bool { return p.Active.Writable(b) })
		load := startCreators(b, p.Active, clients)
		pairtest.Await(b, 10*time.Second, "the load is taken", func() bool { return clients == 0 || load.taken.Load() >= 20 })
		watch := watchGate(b, p.Active)

		begun := time.Now()
		hurt(b)
		shut = append(shut, watch.turned(b, false, begun))
		before := load.refused.Load()
		pairtest.Await(b, 10*time.Second, "writes are refused", func() bool { return clients == 0 || load.refused.Load() >= before+20 })

		begun = time.Now()
		heal(b)
		open = append(open, watch.turned(b, true, begun))
		watch.end()
		load.end()
		refused = append(refused, load.longest)
		unknown += load.unknown
	}
	b.ReportMetric(0, "ns/op")
	shut.report(b, "shut-ms")
	open.report(b, "open-ms")
	refused.report(b, "refused-ms")
	b.ReportMetric(float64(unknown)/float64(b.N), "unknown/op")
}

// durations are what trials measured.
type durations []time.Duration

// report adds the median, the 99th percentile and the worst to the benchmark's line.
func (d durations) report(b *testing.B, unit string) {
	b.Helper()
	slices.Sort(d)
	for name, at := range map[string]int{"median-": (len(d) - 1) / 2, "p99-": (len(d)*99+99)/100 - 1, "worst-": len(d) - 1} {
		b.ReportMetric(float64(d[at].Microseconds())/1000, name+unit)
	}
}

// creators are clients that create keys, one after the other, until they are ended.
type creators struct {
	taken, refused atomic.Int64
	mayDie         atomic.Bool // their host may, and answer nothing then
	stop           chan struct{}
	clients        sync.WaitGroup

	mu      sync.Mutex // guards what follows
	longest time.Duration
	unknown int
}

func startCreators(b *testing.B, n *pairtest.Node, clients int) *creators {
	l := &creators{stop: make(chan struct{})}
	for range clients {
		l.clients.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				case <-time.After(5 * time.Millisecond):
					l.count(b, n.Create(b, pairtest.NewKey()))
				}
			}
		})
	}
	return l
}

func (l *creators) count(b *testing.B, a pairtest.Answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case a.Status == http.StatusCreated:
		l.taken.Add(1)
	case a.Reason == "outcome_unknown":
		l.unknown++
	case a.Status == http.StatusServiceUnavailable:
		l.refused.Add(1)
		l.longest = max(l.longest, a.Took)
	case a.Err != nil && l.mayDie.Load():
	default:
		b.Errorf("a write under a fault: %v", a)
	}
}

// end returns when the last write was answered.
func (l *creators) end() {
	close(l.stop)
	l.clients.Wait()
}

// gateWatch asks the active every few milliseconds whether it would attempt a write.
type gateWatch struct {
	turns chan turn
	stop  chan struct{}
	ended sync.WaitGroup
}

// turn is when the gate was first seen open, or shut, after it had been the other.
type turn struct {
	open bool
	at   time.Time
}

func watchGate(b *testing.B, n *pairtest.Node) *gateWatch {
	w := &gateWatch{turns: make(chan turn, 1000), stop: make(chan struct{})}
	w.ended.Go(func() {
		open := true
		for {
			select {
			case <-w.stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
			if now := n.Writable(b); now != open {
				open = now
				w.turns <- turn{open, time.Now()}
			}
		}
	})
	return w
}

// turned waits until the gate is that and returns how long it took since then. It stays so while the trial goes on.
func (w *gateWatch) turned(b *testing.B, open bool, since time.Time) time.Duration {
	b.Helper()
	for late := time.After(time.Minute); ; {
		select {
		case t := <-w.turns:
			if t.open == open && t.at.After(since) {
				return t.at.Sub(since)
			}
		case <-late:
			b.Fatalf("after a minute the gate is not %v", open)
		}
	}
}

func (w *gateWatch) end() {
	close(w.stop)
	w.ended.Wait()
}
