package host

import (
	"log/slog"
	"strings"
	"testing"

	"keytrustee/replication"
)

// fixedPair is a pair in one state.
type fixedPair struct {
	Pair
	state   replication.State
	answers bool
}

func (p fixedPair) State() replication.State   { return p.state }
func (p fixedPair) Report() replication.Report { return replication.Report{PeerAnswers: p.answers} }

// TestNoTokenWhileAPassiveAnswers holds the refusals of NewToken that come before the database.
func TestNoTokenWhileAPassiveAnswers(t *testing.T) {
	peer := &replication.Peer{Name: "kt02"}
	tests := []struct {
		name    string
		pair    fixedPair
		replace bool
		says    string
	}{
		{"the passive answers", fixedPair{state: replication.State{Self: "kt01", Duty: replication.Active, Peer: peer}, answers: true}, false, "kt01 has a passive, kt02, and it answers"},
		{"on the passive", fixedPair{state: replication.State{Self: "kt02", Duty: replication.Passive}}, false, "kt02 is the passive"},
		{"on the passive, to replace", fixedPair{state: replication.State{Self: "kt02", Duty: replication.Passive}}, true, "kt02 is the passive"},
		{"fenced", fixedPair{state: replication.State{Self: "kt01", Duty: replication.Active, Fenced: &replication.Fence{Detail: "two epochs"}}}, true, "kt01 is fenced: two epochs"},
	}
	for _, tt := range tests {
		a := NewAdmitter(newHost(t, "kt01", 1), nil, nil, tt.pair, slog.New(slog.DiscardHandler))
		token, err := a.NewToken(t.Context(), tt.replace, 0)
		if token != nil || err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.says)
		}
	}
}
