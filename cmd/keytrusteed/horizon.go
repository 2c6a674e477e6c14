package main

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"keytrustee/kms"
	"keytrustee/kms/pgstore"
	"keytrustee/postgres"
	"keytrustee/replication"
)

// horizon is replication's Horizon as pgstore asks it. On an active it is certain of nothing until the tables have this
// version's form.
type horizon struct {
	*replication.Horizon
	migrated atomic.Bool
}

// Visibility translates replication's refusals into those of a read.
func (h *horizon) Visibility() (postgres.Visibility, error) {
	v, err := h.Horizon.Visibility()
	if err == nil && !v.All && !h.migrated.Load() {
		err = &replication.ClosedError{Reason: replication.Starting, Sentence: "this host is starting; ask the other one, or try again in a moment"}
	}
	return v, unread(err)
}

// unread is the refusal of a read: whatever keeps this host from being certain, the other one may serve it, and no client may
// be kept from asking there.
func unread(err error) error {
	err = translate(err)
	if refused, ok := errors.AsType[*kms.ReadOnlyError](err); ok {
		refused.Remedy = kms.ElsewherePeer
	}
	return err
}

// migrate brings an active's tables to this version's form, as soon as its PostgreSQL answers. It returns when that is done
// or ctx ends.
func (h *horizon) migrate(ctx context.Context, connString string, log *slog.Logger) {
	said := ""
	for ctx.Err() == nil {
		err := pgstore.Migrate(ctx, connString)
		if err == nil {
			h.migrated.Store(true)
			return
		}
		if err.Error() != said {
			said = err.Error()
			log.Warn("the key tables can not be looked at yet", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(250 * time.Millisecond):
		}
	}
}
