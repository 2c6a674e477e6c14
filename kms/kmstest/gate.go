package kmstest

import (
	"context"
	"sync"
	"time"

	"keytrustee/kms"
)

// Gate is a kms.WriteGate that a test opens and closes.
type Gate struct {
	mu     sync.Mutex
	shut   *kms.ReadOnlyError
	world  string
	inside map[int]context.CancelCauseFunc
	next   int
}

// NewGate returns an open gate.
func NewGate() *Gate { return &Gate{world: "active 1", inside: map[int]context.CancelCauseFunc{}} }

// Open opens the gate.
func (g *Gate) Open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = nil
}

// Close shuts the gate and ends the contexts of those inside.
func (g *Gate) Close(reason kms.Reason, remedy kms.Remedy) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = &kms.ReadOnlyError{Reason: reason, Host: "kt02", Since: time.Now(), Remedy: remedy,
		Sentence: "write refused: passive kt02: " + string(reason)}
	for _, cancel := range g.inside {
		cancel(g.shut)
	}
}

// SetWorld changes the duty and epoch; an empty one is a state in which not even a claim is answered.
func (g *Gate) SetWorld(world string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.world = world
}

// Enter is kms.WriteGate's.
func (g *Gate) Enter(ctx context.Context) (context.Context, func(), error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut != nil {
		return nil, nil, g.shut
	}
	inside, cancel := context.WithCancelCause(ctx)
	n := g.next
	g.next++
	g.inside[n] = cancel
	return inside, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.inside, n)
		cancel(nil)
	}, nil
}

// World is kms.WriteGate's.
func (g *Gate) World() (string, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.world, g.world != ""
}
