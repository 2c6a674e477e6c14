package replication

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestGate(t *testing.T) {
	now := time.Duration(0)
	looks := 0
	g := newGate(func() time.Duration { return now }, func() { looks++ }, &ClosedError{Reason: Starting})
	refused := func(want Reason) {
		t.Helper()
		_, _, err := g.Enter(t.Context())
		if closed, ok := errors.AsType[*ClosedError](err); !ok || closed.Reason != want {
			t.Fatalf("entered, or %v, want %s", err, want)
		}
		if closed := g.Closed(); closed == nil || closed.Reason != want {
			t.Fatalf("closed %v", closed)
		}
	}
	refused(Starting)
	g.admit(time.Second, &ClosedError{Reason: Starting, Sentence: "stood still"})
	now = time.Second
	inside, leave, err := g.Enter(t.Context())
	if err != nil || g.Closed() != nil || looks != 0 {
		t.Fatal(err, looks)
	}
	defer leave()

	// Nobody renews it: a process that was frozen looks anew, and finds nothing to open it.
	now += time.Nanosecond
	refused(Starting)
	if looks != 2 {
		t.Errorf("looked %d times", looks)
	}
	if inside.Err() != nil {
		t.Error("ended before the gate was shut")
	}
	if !g.shut(&ClosedError{Reason: PassiveStale}) {
		t.Error("it was not open")
	}
	<-inside.Done()
	if closed, ok := errors.AsType[*ClosedError](context.Cause(inside)); !ok || closed.Reason != PassiveStale {
		t.Errorf("cause %v", context.Cause(inside))
	}
	refused(PassiveStale)

	g.admit(now+time.Second, &ClosedError{Reason: Starting})
	inside, leave, err = g.Enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	leave()
	leave()
	g.shut(&ClosedError{Reason: PassiveStale})
	if cause := context.Cause(inside); !errors.Is(cause, context.Canceled) {
		t.Errorf("after leaving: %v", cause)
	}
}

// TestGateExpires: past the time that the peer's answer was good for, nobody enters, also if nothing is found out anew.
func TestGateExpires(t *testing.T) {
	now, looked := time.Second, 0
	g := newGate(func() time.Duration { return now }, func() { looked++ }, &ClosedError{Reason: Starting})
	after := &ClosedError{Reason: PassiveUnreachable}
	g.admit(2*time.Second, after)
	if _, leave, err := g.Enter(t.Context()); err != nil || g.Closed() != nil {
		t.Fatalf("while it is good: %v", err)
	} else {
		leave()
	}
	now = 2*time.Second + 1
	if _, _, err := g.Enter(t.Context()); err != error(after) {
		t.Errorf("afterwards: %v", err)
	}
	if g.Closed() != after || looked != 2 {
		t.Errorf("afterwards it says %v, having looked %d times", g.Closed(), looked)
	}
}

// TestStandstill: whoever has not looked at the clock for two seconds must ask everything anew.
func TestStandstill(t *testing.T) {
	f := newFacts(10 * time.Second)
	for _, step := range []struct{ now, resumed time.Duration }{
		{10500 * time.Millisecond, 10 * time.Second}, {12500 * time.Millisecond, 10 * time.Second},
		{14501 * time.Millisecond, 14501 * time.Millisecond}, {15 * time.Second, 14501 * time.Millisecond},
	} {
		f.look(step.now)
		if f.resumed != step.resumed {
			t.Errorf("at %s resumed %s, want %s", step.now, f.resumed, step.resumed)
		}
	}
}
