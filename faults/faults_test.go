package faults

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

var (
	seed     = flag.Uint64("seed", 3521, "what the schedule and the clients' requests are drawn from")
	duration = flag.Duration("duration", 2*time.Minute, "how long the pair is hurt")
	history  = flag.String("history", "", "the file that the run is recorded in; empty: one below the temporary directory")
	judge    = flag.String("judge", "", "a recorded run, to be judged again")
)

// TestFaults hurts a pair at random while clients work on it, and holds what they were told to every promise.
func TestFaults(t *testing.T) {
	path := *history
	if path == "" {
		dir, err := os.MkdirTemp("", "keytrustee-faults")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if !t.Failed() {
				os.RemoveAll(dir)
			}
		})
		path = filepath.Join(dir, "history.jsonl")
	}
	record, err := Record(path, *seed, *duration)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("run", func(t *testing.T) {
		p := pairtest.NewHosts(t, pairtest.Options{Forgetful: true, Clock: true})
		record.Begin()
		Run(t, p, record, *seed, *duration)
	})
	h, err := record.Close()
	if err != nil {
		t.Fatal(err)
	}
	verdict(t, h)
	if t.Failed() {
		t.Logf("the whole history: go test ./faults -run TestJudge -v -judge %s; the same again: make faults SEED=%d DURATION=%v", path, *seed, *duration)
	}
}

// TestJudge judges a recorded run again, without a pair.
func TestJudge(t *testing.T) {
	if *judge == "" {
		t.Skip("no recorded run is named: -judge FILE")
	}
	h, err := Load(*judge)
	if err != nil {
		t.Fatal(err)
	}
	verdict(t, h)
}

// verdict ends the test with VIOLATION, VOID, or neither.
func verdict(t *testing.T, h History) {
	t.Helper()
	text, violated, void := Summary(h)
	t.Log(text)
	switch {
	case violated:
		t.Errorf("VIOLATION: seed %d broke a promise", h.Seed)
	case len(void) > 0:
		t.Errorf("VOID: seed %d proves nothing: %q", h.Seed, void)
	}
}
