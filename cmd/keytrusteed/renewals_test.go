package main

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"keytrustee/kms/audit"
	"keytrustee/replication"
)

// TestRenewalsWaitForTheClocks: while the clocks of the hosts are apart by the word of the active, no host of the two renews anything. What is renewed the audit
// log has.
func TestRenewalsWaitForTheClocks(t *testing.T) {
	apart := &replication.GateReport{Reason: replication.ClockSkew}
	for name, row := range map[string]struct {
		report replication.Report
		renews bool
	}{
		"open":                             {replication.Report{Decision: replication.Decision{Open: true}, PeerAnswers: true}, true},
		"an active with its clock apart":   {replication.Report{Decision: replication.Decision{Reason: replication.ClockSkew}, PeerAnswers: true}, false},
		"a passive with its clock apart":   {replication.Report{ActiveGate: apart, PeerAnswers: true}, false},
		"a passive that hears it no more":  {replication.Report{ActiveGate: apart}, true},
		"an active without its passive":    {replication.Report{Decision: replication.Decision{Reason: replication.PassiveUnreachable}}, true},
		"a passive that has heard nothing": {replication.Report{}, true},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // after the first look
		renewed, noted := false, 0
		renewals(ctx, func(context.Context, time.Time) (bool, error) { renewed = true; return true, nil },
			func() replication.Report { return row.report }, func(audit.Notice) error { noted++; return nil }, slog.New(slog.NewTextHandler(io.Discard, nil)))
		if renewed != row.renews {
			t.Errorf("%s: renewed %v", name, renewed)
		}
		if (noted == 1) != row.renews {
			t.Errorf("%s: renewed %v, and noted %d times", name, renewed, noted)
		}
	}
}
