package replication

import (
	"path/filepath"
	"testing"
	"time"

	"keytrustee/postgres"
)

type silent struct{ Caller }

type unable struct{ Prover }

// TestNoteConfirmedBelievesWhatThisCopyHas: an active that is wrong, or lies, can not have the passive wait for what was
// never written.
func TestNoteConfirmedBelievesWhatThisCopyHas(t *testing.T) {
	state, err := CreateState(filepath.Join(t.TempDir(), "state.json"), State{Self: "kt02", Duty: Passive, Epoch: NewEpoch(1),
		Peer: &Peer{Name: "kt01"}})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Hour
	m, err := New(Config{Server: &postgres.Server{Data: t.TempDir()}, State: state, Caller: silent{}, Prover: unable{}, Uptime: func() time.Duration { return now }})
	if err != nil {
		t.Fatal(err)
	}
	m.facts.server = Server{Answers: true, Flushed: 0x200, Replayed: 0x100}
	ask := Ask{From: "kt01", Duty: Active, Epoch: state.Current().Epoch}
	for _, row := range []struct{ said, want postgres.LSN }{{0x80, 0x80}, {0xFFFF << 32, 0x80}, {noteStep + 0x80, 0x80}} {
		ask.Confirmed = row.said
		m.asked(ask)
		if got := state.Current().LastConfirmed; got != row.want {
			t.Errorf("the active says %s: %s is noted, want %s", row.said, got, row.want)
		}
	}
	m.facts.server = Server{Answers: true, Flushed: 4 * noteStep, Replayed: 2 * noteStep}
	ask.Confirmed = 3 * noteStep
	m.asked(ask)
	if got := state.Current().LastConfirmed; got != 2*noteStep {
		t.Errorf("%s is noted, replayed is %s", got, postgres.LSN(2*noteStep))
	}
}
