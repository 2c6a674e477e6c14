package pairtest_test

import (
	"flag"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

// BenchmarkHostDies kills a host while clients read and create, and measures the reads of the other one: how many failed, and the slowest
// 99th percentile of any half second (slowest-p99-ms). Half of the readers ask the survivor alone; the other half have both hosts, ask
// the one that dies first, and go on to the survivor. What fails counts where no host has answered.
func BenchmarkHostDies(b *testing.B) {
	p := pairtest.NewHosts(b, pairtest.Options{})
	for name, dies := range map[string]*pairtest.Node{"Active": p.Active, "Passive": p.Passive} {
		b.Run(name, func(b *testing.B) {
			var reads, failed int
			var slowest durations
			for range b.N {
				pairtest.Await(b, time.Minute, "the gate is open before the trial", func() bool { return p.Active.Writable(b) })
				r := startReaders(b, dies)
				load := startCreators(b, p.Active, 2)
				pairtest.Await(b, 20*time.Second, "reads come before", func() bool { return r.count() >= 200 })
				load.mayDie.Store(true)
				dies.Kill(b)
				killed := r.count()
				pairtest.Await(b, 30*time.Second, "reads come after", func() bool { return r.count() >= killed+400 })
				r.end()
				load.end()
				dies.Begin(b)
				reads, failed = reads+len(r.took), failed+r.failed
				slowest = append(slowest, r.slowest())
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(reads)/float64(b.N), "reads/op")
			b.ReportMetric(float64(failed), "failed-reads")
			slowest.report(b, "slowest-p99-ms")
		})
	}
}

// readers read keys until they end.
type readers struct {
	stop    chan struct{}
	clients sync.WaitGroup

	mu     sync.Mutex // guards what follows
	took   durations
	at     []time.Time // when each of took began
	failed int
}

func startReaders(b *testing.B, dies *pairtest.Node) *readers {
	r := &readers{stop: make(chan struct{})}
	names := make([]string, 20)
	for i := range names {
		names[i] = pairtest.NewKey()
		if a := dies.Other().Create(b, names[i]); a.Status != http.StatusCreated {
			b.Fatal(a)
		}
	}
	for i := range 4 {
		order := []*pairtest.Node{dies.Other()}
		if i%2 == 1 {
			order = []*pairtest.Node{dies, dies.Other()}
		}
		r.clients.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-r.stop:
					return
				case <-time.After(5 * time.Millisecond):
					r.read(b, order, names[n%len(names)])
				}
			}
		})
	}
	return r
}

// read asks the hosts in turn until one has answered.
func (r *readers) read(b *testing.B, order []*pairtest.Node, name string) {
	begun := time.Now()
	var last pairtest.Answer
	for _, n := range order {
		var material string
		if last, material = n.Version(b, name, 0); material != "" {
			break
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.took, r.at = append(r.took, time.Since(begun)), append(r.at, begun)
	if last.Status != http.StatusOK {
		r.failed++
		b.Logf("a read failed: %v", last)
	}
}

func (r *readers) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.took)
}

func (r *readers) end() {
	close(r.stop)
	r.clients.Wait()
}

// slowest is the 99th percentile of the half second in which it is the worst.
func (r *readers) slowest() time.Duration {
	windows := map[int64]durations{}
	for i, took := range r.took {
		window := r.at[i].UnixMilli() / 500
		windows[window] = append(windows[window], took)
	}
	var worst time.Duration
	for _, w := range windows {
		slices.Sort(w)
		worst = max(worst, w[(len(w)*99+99)/100-1])
	}
	return worst
}

var versions = flag.Int("versions", 1000, "how many versions of keys there are when BenchmarkDestroyed destroys a host")

// BenchmarkDestroyed loses the disk of a host and brings the host back from the survivor by one command: until its services run (command-ms),
// and until the gate is open again (open-ms). Nothing may be missing. The disks are this machine's:
// go test -run '^$' -bench Destroyed -benchtime 1x ./replication/pairtest -versions 100000.
func BenchmarkDestroyed(b *testing.B) {
	p := pairtest.NewHosts(b, pairtest.Options{Stable: true})
	fill(b, p.Active, *versions)
	p.SameContents(b)
	for name, n := range map[string]*pairtest.Node{"Active": p.Active, "Passive": p.Passive} {
		b.Run(name, func(b *testing.B) {
			var command, open durations
			for range b.N {
				before := n.Other().Rows(b, "key_version")
				n.Destroy(b)
				n.Other().Token(b) // the survivor knows that it is one
				begun := time.Now()
				n.Rebuild(b)
				command = append(command, time.Since(begun))
				pairtest.Await(b, 5*time.Minute, "the gate is open", func() bool { return p.Active.Writable(b) })
				open = append(open, time.Since(begun))
				p.SameContents(b)
				if after := n.Rows(b, "key_version"); after != before || after < *versions {
					b.Errorf("%d versions of %d are back", after, before)
				}
			}
			b.ReportMetric(0, "ns/op")
			command.report(b, "command-ms")
			open.report(b, "open-ms")
		})
	}
}

// fill creates keys and rolls them until there are that many versions.
func fill(b *testing.B, n *pairtest.Node, versions int) {
	b.Helper()
	const perKey = 100
	keys := make(chan int)
	var clients sync.WaitGroup
	for range 32 {
		clients.Go(func() {
			for range keys {
				name := pairtest.NewKey()
				if a := n.Create(b, name); a.Status != http.StatusCreated {
					b.Errorf("filling: %v", a)
					continue
				}
				for range perKey - 1 {
					if a := n.Do(b, http.MethodPost, "/kms/v1/key/"+name, nil, map[string]any{}); a.Status != http.StatusOK {
						b.Errorf("filling: %v", a)
					}
				}
			}
		})
	}
	for i := range (versions + perKey - 1) / perKey {
		keys <- i
	}
	close(keys)
	clients.Wait()
}
