package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// worker is one client: what it asks for is drawn from the seed and its number.
type worker struct {
	*caller
	hosts  []Host
	pool   *pool
	random *rand.Rand
	asked  int // writes, for their ids
}

// How often a client asks, and what a refusal makes it wait.
const (
	thinks    = 60 * time.Millisecond
	discarded = 300 * time.Millisecond
)

// run asks until ctx ends. What is under way then is brought to its end.
func (w *worker) run(ctx context.Context) {
	for ctx.Err() == nil {
		served := false
		if w.random.IntN(100) < 50 {
			served = w.write(ctx)
		} else {
			served = w.read(ctx)
		}
		pause := thinks/2 + time.Duration(w.random.Int64N(int64(thinks)))
		if !served {
			pause += discarded
		}
		rest(ctx, pause)
	}
}

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// read asks one host, and the other one if that has no answer.
func (w *worker) read(ctx context.Context) (served bool) {
	name, create, k := w.pool.next(w.random)
	if old, there := w.pool.older(w.random); there && (create || w.random.IntN(10) == 0) {
		name, k = old, pooled{name: old}
	}
	want := wish{kind: []Kind{Current, Current, Version, Versions}[w.random.IntN(4)], key: name}
	if want.kind == Version {
		want.number = w.random.IntN(k.versions + 1)
	}
	first := w.random.IntN(2)
	for i := range w.hosts {
		o := w.deliver(context.WithoutCancel(ctx), w.hosts[(first+i)%len(w.hosts)], want)
		if o.Outcome == Done || o.Outcome == Absent {
			return true
		}
	}
	return false
}

// write makes a change, at either host, and asks on if it is told nothing: with an id until it knows, without one as the HTTP layer of
// a stock client does.
func (w *worker) write(ctx context.Context) (acknowledged bool) {
	want := w.draw()
	first := w.random.IntN(2)
	at := first
	repeats := w.random.IntN(3)
	if want.requestID != "" {
		repeats = 5
	}
	for {
		o := w.deliver(context.WithoutCancel(ctx), w.hosts[at], want)
		w.pool.heard(o)
		switch o.Outcome {
		case Done:
			if want.requestID != "" && o.Kind.makes() && w.random.IntN(8) == 0 { // the same result, at either host
				w.deliver(context.WithoutCancel(ctx), w.hosts[w.random.IntN(2)], want)
			}
			return true
		case Failed:
			return true
		case Unknown:
			if want.requestID != "" {
				rest(ctx, discarded*time.Duration(1+w.random.IntN(4)))
			}
		case Refused, Unsent:
			if at != first { // both hosts were asked
				rest(ctx, discarded)
			}
		}
		if repeats--; repeats < 0 || ctx.Err() != nil {
			return false
		}
		at = 1 - at
	}
}

// draw says what is changed.
func (w *worker) draw() wish {
	name, create, k := w.pool.next(w.random)
	want := wish{kind: Create, key: name}
	if !create {
		dice := w.random.IntN(100)
		switch {
		case k.deleted && dice < 70:
			want.kind = Undelete
		case dice < 10:
			want.kind = Delete
		default:
			want.kind = Roll
		}
	}
	w.asked++
	if want.kind == Undelete || w.random.IntN(2) == 0 {
		want.requestID = fmt.Sprintf("s%d-c%d-%d", w.pool.seed, w.number, w.asked)
	}
	if want.kind.makes() && w.random.IntN(2) == 0 {
		want.material = make([]byte, 16)
		for i := range want.material {
			want.material[i] = byte(w.random.Uint32())
		}
	}
	return want
}
