package replication

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"keytrustee/postgres"
)

// TestLogTellsReasons: what keeps the gate shut is in the log, also when the gate was never open, and once for each reason.
func TestLogTellsReasons(t *testing.T) {
	f, _ := newState(t)
	var log bytes.Buffer
	m, err := New(Config{Server: &postgres.Server{Data: t.TempDir()}, State: f, Caller: struct{ Caller }{}, Prover: struct{ Prover }{},
		Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		duty     Duty
		decision Decision
		want     string // of the line that is new; empty: none
	}{
		{Active, Decision{Reason: Fenced, Detail: "an older copy"}, `msg="writes closed" reason=fenced`},
		{Active, Decision{Reason: Fenced, Detail: "an older copy"}, ""},
		{Active, Decision{Reason: Starting}, `msg="writes closed" reason=starting`},
		{Active, Decision{Open: true}, `msg="writes open"`},
		{Active, Decision{Open: true}, ""},
		{Active, Decision{Reason: PassiveDaemonDown}, `reason=passive_daemon_down`},
		{Active, Decision{Reason: PassiveUnreachable}, `reason=passive_unreachable`},
		{Active, Decision{Open: true}, `msg="writes open"`},
		{Active, Decision{Reason: PassiveUnreachable}, `reason=passive_unreachable`},
		{Passive, Decision{}, `msg="this passive is in order`},
		{Passive, Decision{}, ""},
		{Passive, Decision{Reason: ActiveUnreachable}, `msg="this passive is not in order" reason=active_unreachable`},
		{Passive, Decision{}, `msg="this passive is in order`},
	} {
		log.Reset()
		m.apply(f.Current(), Status{Duty: step.duty}, step.decision, m.uptime())
		if got := log.String(); got != "" && step.want == "" || !strings.Contains(got, step.want) || strings.Count(got, "\n") > 1 {
			t.Errorf("%s, %+v: logged %q, want %q", step.duty, step.decision, got, step.want)
		}
	}
}
