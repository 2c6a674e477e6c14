package backup

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// errStalled means that nothing moved for as long as patience has it.
var errStalled = errors.New("nothing moves")

// attend runs act, which says so whenever something has moved, and gives it up when nothing did for as long as patience:
// its context ends then, as when ctx does. What heeds no context is left behind, which is a directory whose server is gone:
// the kernel may never come back from it. The error is then an errStalled, or that of ctx.
func attend(ctx context.Context, patience time.Duration, act func(ctx context.Context, moved func()) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	timer := time.AfterFunc(patience, func() { stop(fmt.Errorf("%w: not for %v", errStalled, patience)) })
	defer timer.Stop()
	ended := make(chan error, 1)
	go func() { ended <- act(ctx, func() { timer.Reset(patience) }) }()
	select {
	case err := <-ended:
		return because(ctx, err)
	case <-ctx.Done():
	}
	const farewell = 5 * time.Second
	select {
	case err := <-ended:
		return because(ctx, err)
	case <-time.After(farewell):
		return context.Cause(ctx)
	}
}

// because is why something failed: what ended its context, if that did, and not what followed from it.
func because(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
