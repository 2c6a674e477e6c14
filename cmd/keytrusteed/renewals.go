package main

import (
	"context"
	"log/slog"
	"time"

	"keytrustee/host"
)

// renewEvery is how often a daemon looks whether a certificate of its host ends soon.
const renewEvery = time.Hour

// renewals renews the certificates of this host before they end, and those that have ended while it did not run: at once, and then by the
// hour. It returns when ctx has ended. What can not be renewed is said each time, and in ktadmin status.
func renewals(ctx context.Context, self *host.Host, log *slog.Logger) {
	ticker := time.NewTicker(renewEvery)
	defer ticker.Stop()
	for {
		switch renewed, err := self.RenewDue(ctx, time.Now()); {
		case err != nil && ctx.Err() == nil:
			log.Error("certificates end soon and can not be renewed", "error", err, "hint", hint(err))
		case renewed:
			log.Info("certificates that were to end soon are renewed")
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
