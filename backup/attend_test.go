package backup

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestAttend: what goes on is waited for however long it takes, what stands still is given up, and what does not even heed that
// is left behind.
func TestAttend(t *testing.T) {
	const patience = time.Second
	err := attend(t.Context(), patience, func(ctx context.Context, moved func()) error {
		steps := time.NewTicker(patience / 10)
		defer steps.Stop()
		for range 30 { // three times as long as patience
			<-steps.C
			moved()
		}
		return ctx.Err()
	})
	if err != nil {
		t.Errorf("what goes on: %v", err)
	}
	own := errors.New("own")
	if err := attend(t.Context(), patience, func(context.Context, func()) error { return own }); err != own {
		t.Errorf("what fails: %v", err)
	}
	err = attend(t.Context(), patience, func(ctx context.Context, _ func()) error { <-ctx.Done(); return own })
	if !errors.Is(err, errStalled) {
		t.Errorf("what stands still: %v", err)
	}
	release, ended := make(chan struct{}), make(chan struct{})
	err = attend(t.Context(), patience, func(context.Context, func()) error { defer close(ended); <-release; return nil })
	if !errors.Is(err, errStalled) {
		t.Errorf("what heeds nothing: %v", err)
	}
	close(release)
	<-ended
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := attend(ctx, patience, func(ctx context.Context, _ func()) error { return ctx.Err() }); !errors.Is(err, context.Canceled) {
		t.Errorf("what nobody waits for: %v", err)
	}
}
