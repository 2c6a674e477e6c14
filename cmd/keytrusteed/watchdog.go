package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"keytrustee/replication"
)

// watchdog tells systemd that this daemon is up, which never waits for the peer, and then, if it was asked to, that the
// daemon still moves: a stuck one is killed, since a connection that is refused costs a client a millisecond and one that is
// never answered its whole timeout. A systemd that can not be told is no reason to end.
func watchdog(ctx context.Context, m *replication.Monitor, log *slog.Logger) error {
	if _, err := daemon.SdNotify(false, daemon.SdNotifyReady); err != nil {
		log.Warn("systemd can not be told that this daemon is up", "error", err)
	}
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil || every == 0 {
		return err
	}
	tick := time.NewTicker(every / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			m.Report() // returns only while nothing holds the Monitor's locks
			if _, err := daemon.SdNotify(false, daemon.SdNotifyWatchdog); err != nil {
				log.Warn("systemd can not be told that this daemon moves", "error", err)
			}
		}
	}
}
