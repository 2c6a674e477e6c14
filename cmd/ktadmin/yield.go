package main

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"keytrustee/internal/spare"
	"keytrustee/postgres"
)

// yieldSenders has what sends a base backup of the standby that server is take what others leave, until the returned function is called, if
// this process does. What copies the tables holds locks that requests wait for: it is paced instead.
func yieldSenders(server *postgres.Server) (stop func()) {
	if !spare.Used(0) {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		conn, err := pgx.Connect(ctx, server.ConnString("postgres"))
		if err != nil {
			return // there is nothing to copy either
		}
		defer conn.Close(context.WithoutCancel(ctx))
		var done []int
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			senders, err := postgres.BackupSenders(ctx, conn)
			if err != nil {
				return
			}
			for _, pid := range senders {
				if !slices.Contains(done, pid) && spare.Other(pid) == nil {
					done = append(done, pid)
				}
			}
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	}()
	return func() { cancel(); <-ended }
}
