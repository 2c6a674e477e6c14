package host

import (
	"context"
	"errors"
	"time"

	"keytrustee/replication"
)

// patience is how long the active waits for what has been started just now: its database, the passive.
const (
	patience     = 20 * time.Second
	patiencePoll = 100 * time.Millisecond
)

// EnableSync makes replication synchronous. A passive that is joining, or whose services were just started, it gives time
// to appear; without one it returns the pair's refusal at once.
func EnableSync(ctx context.Context, pair Pair) error {
	deadline := time.Now().Add(patience)
	for {
		err := pair.EnableSync(ctx)
		refused := (*replication.RefusedError)(nil)
		state := pair.State()
		coming := state.Duty == replication.Active && state.Fenced == nil && (state.Pending != nil || state.Peer != nil)
		if !errors.As(err, &refused) || !coming || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(patiencePoll):
		}
	}
}
