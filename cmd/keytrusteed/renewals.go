package main

import (
	"context"
	"log/slog"
	"time"

	"keytrustee/internal/seam"
	"keytrustee/kms/audit"
	"keytrustee/replication"
)

// renewEvery is how often a daemon looks whether a certificate of its host ends soon.
const renewEvery = time.Hour

// renewals renews the certificates of this host before they end, and those that have ended while it did not run: at once, and then by the
// hour. It returns when ctx has ended. What was renewed the audit log has. What can not be renewed is said each time, and in ktadmin status.
func renewals(ctx context.Context, renew func(context.Context, time.Time) (bool, error), report func() replication.Report, note func(audit.Notice) error, log *slog.Logger) {
	ticker := time.NewTicker(renewEvery)
	defer ticker.Stop()
	for {
		if !clocksApart(report()) { // of two clocks this one may be wrong; what ends soon has 30 days
			switch renewed, err := renew(ctx, seam.Now()); {
			case err != nil && ctx.Err() == nil:
				log.Error("certificates end soon and can not be renewed", "error", err, "hint", hint(err))
			case renewed:
				log.Info("certificates that were to end soon, or were not good yet, are renewed")
				n := audit.Notice{At: seam.Now(), Kind: "certificates", Fields: []audit.Field{{Name: "state", Value: "renewed"}},
					Text: "certificates of this host that were to end soon, or were not good yet, are renewed"}
				if err := note(n); err != nil {
					log.Error("a notice is missing in the audit log", "kind", n.Kind, "error", err)
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// clocksApart: the gate is closed since the clocks of the two hosts differ, by the word of the active that answers.
func clocksApart(r replication.Report) bool {
	return r.Reason == replication.ClockSkew || r.PeerAnswers && r.ActiveGate != nil && r.ActiveGate.Reason == replication.ClockSkew
}
