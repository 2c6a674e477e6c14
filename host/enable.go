package host

import (
	"context"
	"errors"
	"time"

	"keytrustee/replication"
)

// patience is how long the active waits for what has been started just now: its database, the passive. opening is how long
// writes may take to open once nothing is missing.
const (
	patience     = 20 * time.Second
	opening      = 5 * time.Second
	patiencePoll = 100 * time.Millisecond
)

// EnableSync makes replication synchronous. A passive that is joining, or whose services were just started, it gives time
// to appear; without one it returns the pair's refusal at once. When it returns nil, writes are open, unless something else
// keeps them closed, which the pair's report tells.
func EnableSync(ctx context.Context, pair Pair) error {
	deadline := time.Now().Add(patience)
	for {
		err := pair.EnableSync(ctx)
		_, refused := errors.AsType[*replication.RefusedError](err)
		state := pair.State()
		coming := state.Duty == replication.Active && state.Fenced == nil && (state.Pending != nil || state.Peer != nil)
		if err == nil {
			awaitOpen(ctx, pair)
			return nil
		}
		if !refused || !coming || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(patiencePoll):
		}
	}
}

func awaitOpen(ctx context.Context, pair Pair) {
	for deadline := time.Now().Add(opening); !pair.Report().Open && time.Now().Before(deadline); {
		select {
		case <-ctx.Done():
			return
		case <-time.After(patiencePoll):
		}
	}
}
