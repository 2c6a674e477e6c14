package pairtest_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

// load creates keys through either host, and reads one that is there, until stop.
type load struct {
	mu      sync.Mutex
	keys    map[string]string // what was acknowledged, and its material; empty: not read yet
	told    []told            // each acknowledged create
	refused map[string]int
	unread  []string // reads that neither host served
	reads   int
	slowest time.Duration
	stop    func()
}

type told struct{ begun, ended time.Time }

func startLoad(t *testing.T, p *pairtest.Pair) *load {
	t.Helper()
	l := &load{keys: map[string]string{}, refused: map[string]int{}}
	known, material := p.Active.MustCreate(t)
	l.keys[known] = material
	end := make(chan struct{})
	var all sync.WaitGroup
	for _, n := range p.Nodes {
		all.Go(func() { l.write(t, n, end) })
	}
	all.Go(func() { l.read(t, p.Nodes, known, end) })
	l.stop = sync.OnceFunc(func() { close(end); all.Wait() })
	t.Cleanup(l.stop)
	return l
}

func ended(end chan struct{}) bool {
	select {
	case <-end:
		return true
	default:
		return false
	}
}

func (l *load) write(t *testing.T, n *pairtest.Node, end chan struct{}) {
	for !ended(end) {
		name, begun := pairtest.NewKey(), time.Now()
		a := n.Create(t, name)
		l.mu.Lock()
		switch {
		case a.Err == nil && a.Status == http.StatusCreated:
			l.keys[name] = ""
			l.told = append(l.told, told{begun, time.Now()})
		case a.Err != nil:
			l.refused["no answer"]++
		default:
			l.refused[a.Reason]++
		}
		l.mu.Unlock()
		time.Sleep(20 * time.Millisecond) // a load, not a flood
	}
}

// read is a client with failover: it asks one host, and the other one if that does not serve it.
func (l *load) read(t *testing.T, nodes []*pairtest.Node, name string, end chan struct{}) {
	for turn := 0; !ended(end); turn++ {
		begun := time.Now()
		var said []string
		for i := range nodes {
			n := nodes[(turn+i)%len(nodes)]
			a, material := n.Version(t, name, 0)
			if material != "" {
				said = nil
				break
			}
			said = append(said, fmt.Sprintf("%s: %v", n.Name, a))
		}
		l.mu.Lock()
		l.reads++
		l.slowest = max(l.slowest, time.Since(begun))
		if said != nil {
			l.unread = append(l.unread, begun.Format("15:04:05.000 ")+strings.Join(said, "; "))
		}
		l.mu.Unlock()
		time.Sleep(10 * time.Millisecond)
	}
}

// everyAcknowledged checks that both hosts serve every acknowledged key, with one material.
func (l *load) everyAcknowledged(t *testing.T, p *pairtest.Pair) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, material := range l.keys {
		for _, n := range p.Nodes {
			a, got := n.Version(t, name, 0)
			if got == "" || material != "" && got != material {
				t.Errorf("%s does not serve %s, which was acknowledged, or other material: %v", n.Name, name, a)
			}
			material = got
		}
		l.keys[name] = material
	}
}

// gates are the moments at which the daemons opened and shut their gates, by their logs.
func gates(t *testing.T, p *pairtest.Pair) (opened, shut []time.Time) {
	t.Helper()
	for _, n := range p.Nodes {
		files, _ := filepath.Glob(filepath.Join(n.Home, "log", "keytrusteed.out"))
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(text)) {
				stamp, _, _ := strings.Cut(strings.TrimPrefix(line, "time="), " ")
				at, _ := time.Parse(time.RFC3339Nano, stamp)
				switch {
				case strings.Contains(line, `msg="writes open"`):
					opened = append(opened, at)
				case strings.Contains(line, `msg="writes closed"`) && strings.Contains(line, "reason=switchover"):
					shut = append(shut, at)
				}
			}
		}
	}
	return opened, shut
}

// switchover runs the command and returns how long it took, with p's roles as they are then.
func switchover(t *testing.T, p *pairtest.Pair, at *pairtest.Node, args ...string) time.Duration {
	t.Helper()
	next, begun := p.Passive, time.Now()
	ktadmin(t, at, 0, append([]string{"cluster", "switchover"}, args...)...)
	took := time.Since(begun)
	p.Roles(t)
	if p.Active != next {
		t.Fatalf("%s is the active after a switchover to %s", p.Active.Name, next.Name)
	}
	return took
}

func TestSwitchover(t *testing.T) {
	p := pairtest.New(t)
	t.Run("under load", func(t *testing.T) { underLoad(t, p) })
	t.Run("killed", func(t *testing.T) { killedInSteps(t, p) })
}

// underLoad swaps the duties back and forth, from either host. Nothing that was acknowledged is missing, nothing was
// acknowledged that was begun while the gate was shut, and a client with failover is never without its key.
func underLoad(t *testing.T, p *pairtest.Pair) {
	l := startLoad(t, p)
	out, _ := ktadmin(t, p.Passive, 0, "cluster", "switchover", "--check")
	if strings.Count(out, "\nyes")+1 < 10 || strings.Contains(out, "\nno ") || !strings.Contains(out, "would be done") {
		t.Errorf("a check of a pair in order says\n%s", out)
	}
	ktadmin(t, p.Active, 3, "cluster", "switchover", "--abort")
	for round := range 6 {
		at := p.Nodes[round/2%2]
		took := switchover(t, p, at)
		t.Logf("evidence: switchover %d, from %s, to %s: %s", round+1, at.Name, p.Active.Name, took.Round(10*time.Millisecond))
		if took > 10*time.Second {
			t.Errorf("a switchover took %s", took)
		}
		pairtest.Await(t, 3*time.Second, "writes at both hosts", func() bool {
			return p.Active.Create(t, pairtest.NewKey()).Status == http.StatusCreated && p.Passive.Create(t, pairtest.NewKey()).Status == http.StatusCreated
		})
	}
	l.stop()
	l.everyAcknowledged(t, p)
	t.Logf("evidence: %d creates acknowledged, refused %v; %d reads, the slowest %s, unserved %d", len(l.told), l.refused, l.reads, l.slowest, len(l.unread))
	if len(l.told) == 0 || l.reads == 0 {
		t.Error("there was no load: the test shows nothing")
	}
	for _, u := range l.unread {
		t.Errorf("no host served a read: %s", u)
	}
	opened, shut := gates(t, p)
	if len(shut) < 6 || len(opened) < 7 {
		t.Errorf("the logs know of %d gates shut for a switchover and %d opened", len(shut), len(opened))
	}
	for _, s := range shut {
		open := s.Add(time.Hour)
		for _, o := range opened {
			if o.After(s) && o.Before(open) {
				open = o
			}
		}
		for _, w := range l.told {
			if w.begun.After(s.Add(time.Millisecond)) && w.ended.Before(open.Add(-time.Millisecond)) {
				t.Errorf("a create from %s to %s was acknowledged while the gate was shut, %s to %s", w.begun, w.ended, s, open)
			}
		}
	}
}
