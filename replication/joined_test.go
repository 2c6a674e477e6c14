package replication

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"keytrustee/postgres"
)

// TestJoinsOnce: the joiner's answers come two at a time, asked as the new passive and as the one it replaces; one of them
// takes it in.
func TestJoinsOnce(t *testing.T) {
	f, _ := newState(t)
	next := f.Current().Epoch.Next()
	err := f.Update(func(s *State) error {
		s.Duty, s.Pending = Active, &Admission{Peer: Peer{Name: "kt02", Incarnation: "new"}, Epoch: next}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	m, err := New(Config{Server: &postgres.Server{Data: t.TempDir()}, State: f, Caller: struct{ Caller }{}, Prover: struct{ Prover }{},
		Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	before := f.Current()
	for range 2 {
		if !m.started(before, Answer{Name: "kt02", Incarnation: "new", Epoch: next, Duty: Passive, Server: Server{Start: "p"}}) {
			t.Error("an answer of the joiner was taken for another's")
		}
		m.facts.peerAt = 7
	}
	if s := f.Current(); s.Peer == nil || s.Peer.Name != "kt02" || s.Epoch != next || s.Pending != nil {
		t.Errorf("state %+v", s)
	}
	if n := strings.Count(log.String(), "the passive has joined"); n != 1 {
		t.Errorf("joined %d times", n)
	}
	if m.facts.peerAt != 7 {
		t.Error("the second answer made the active forget what it had heard since")
	}
}
