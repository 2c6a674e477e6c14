package replication

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keytrustee/postgres"
)

// noticed is a Monitor without a pair, and what it told.
func noticed(t *testing.T, told func(Notice)) (*Monitor, *StateFile, *bytes.Buffer) {
	t.Helper()
	f, _ := newState(t)
	log := new(bytes.Buffer)
	m, err := New(Config{Server: &postgres.Server{Data: t.TempDir()}, State: f, Caller: struct{ Caller }{}, Prover: struct{ Prover }{},
		Told: told, Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return m, f, log
}

// TestNotices: every change of the gate is told once, with its reason, in order; so is a fence, also one that was there before.
func TestNotices(t *testing.T) {
	var got []string
	m, f, _ := noticed(t, func(n Notice) {
		line := string(n.Kind) + " " + string(n.Reason)
		switch {
		case n.Open:
			line += "open"
		case n.Sentence == "" && n.Reason != "":
			line += " without a sentence"
		}
		if n.Host != "kt01" || n.Epoch.IsZero() || n.At.IsZero() || n.Since.IsZero() {
			t.Errorf("not whole: %+v", n)
		}
		got = append(got, line)
	})
	apply := func(d Decision) { m.apply(f.Current(), Status{Duty: Active}, d, m.uptime()) }
	apply(Decision{Reason: Starting})
	apply(Decision{Open: true})
	apply(Decision{Open: true})
	apply(Decision{Reason: PassiveDaemonDown})
	apply(Decision{Reason: PassiveUnreachable})
	apply(Decision{Reason: PassiveUnreachable, Detail: "another detail"})
	m.tellState(f.Current())
	if err := f.Update(func(s *State) error {
		s.Fenced = &Fence{Reason: EpochConflict, Detail: "both hosts are active", Since: time.Now()}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	m.tellState(f.Current())
	m.tellState(f.Current())
	apply(Decision{Open: true})
	m.stop()
	m.tellRest()
	want := []string{"gate starting", "gate open", "gate passive_daemon_down", "gate passive_unreachable", "fence epoch_conflict", "gate open", "gate starting"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// TestNoticesOfTheState: each operation is told when it begins, at each step and when it ends; so is who is the peer no longer.
// After a start all that is found is told again.
func TestNoticesOfTheState(t *testing.T) {
	var got []string
	told := func(n Notice) {
		line := string(n.Kind)
		switch {
		case n.Operation != nil:
			line += fmt.Sprintf(" %s %s by %s (%s)", n.Operation.Kind, n.Operation.Step, n.Operation.By, n.Reason)
		case n.Outcome != nil:
			line += " " + string(n.Outcome.Kind)
		case n.Former != nil:
			line += " " + n.Former.Name
		}
		if n.Found {
			line += ", found"
		}
		if n.Sentence == "" || n.Since.IsZero() {
			t.Errorf("not whole: %+v", n)
		}
		got = append(got, line)
	}
	m, f, _ := noticed(t, told)
	m.tellState(f.Current())
	o := NewOperation(KindSwitchover, "root", "maintenance", time.Now())
	for _, change := range []func(*State){
		func(s *State) { s.Operation = o; s.Operation.Step = "draining" },
		func(s *State) { s.Operation.Note = "waits for two writes" },
		func(s *State) { s.Operation.Step = "stopping" },
		func(s *State) { s.endOperation(o.ID, time.Now(), "kt02 is the active") },
		func(s *State) { s.Former = &Former{Name: "kt02", Epoch: s.Epoch.Next(), Since: time.Now()} },
		func(s *State) {
			s.Fenced = &Fence{Reason: EpochConflict, Detail: "both hosts are active", Since: time.Now()}
		},
	} {
		if err := f.Update(func(s *State) error { change(s); return nil }); err != nil {
			t.Fatal(err)
		}
		m.tellState(f.Current())
		m.tellState(f.Current())
	}
	m.tellRest()
	want := []string{"operation switchover draining by root (switchover)", "operation switchover stopping by root (switchover)", "outcome switchover", "former kt02", "fence"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}

	got = nil
	m, err := New(Config{Server: m.server, State: f, Caller: m.caller, Prover: m.prover, Told: told, Logger: m.log})
	if err != nil {
		t.Fatal(err)
	}
	m.tellState(f.Current())
	m.tellState(f.Current())
	m.tellRest()
	if diff := cmp.Diff([]string{"fence, found", "former kt02, found", "outcome switchover, found"}, got); diff != "" {
		t.Errorf("told after a start (-want +got):\n%s", diff)
	}
}

// TestNoticesDelayNothing: while whoever is told does not return, the gate opens and shuts; what does not fit the queue is
// lost, and the log says so.
func TestNoticesDelayNothing(t *testing.T) {
	held, release := make(chan struct{}), make(chan struct{})
	first := true
	m, f, log := noticed(t, func(Notice) {
		if first {
			first = false
			close(held)
			<-release
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { m.tellAll(ctx); close(ended) }()
	apply := func(d Decision) { m.apply(f.Current(), Status{Duty: Active}, d, m.uptime()) }
	apply(Decision{Reason: Starting})
	<-held
	for range maxNotices/2 + 1 {
		apply(Decision{Open: true})
		apply(Decision{Reason: DiskLow})
	}
	if why := m.gate.Closed(); why == nil || why.Reason != DiskLow {
		t.Errorf("the gate says %v", why)
	}
	close(release)
	cancel()
	<-ended
	if n := strings.Count(log.String(), "a notice is lost"); n != 2 || m.NoticesLost() != 2 {
		t.Errorf("%d notices were lost, want 2", n)
	}
}
