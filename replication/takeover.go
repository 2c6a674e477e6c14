package replication

import (
	"context"
	"time"
)

// Takeover is what the active of a switchover says to the passive that takes over from it.
type Takeover struct {
	Step  TakeoverStep `json:"step"`
	ID    string       `json:"id"`    // of the operation, on both hosts
	Epoch Epoch        `json:"epoch"` // the one that begins with it
	By    string       `json:"by,omitempty"`
	Note  string       `json:"note,omitempty"`
	Since time.Time    `json:"since"`
	// Boundary, with take: where the WAL of the active ends after its shutdown, and the bytes before.
	Boundary *Boundary `json:"boundary,omitempty"`
}

// TakeoverStep is how far a switchover is.
type TakeoverStep string

// The steps.
const (
	TakeoverPrepare TakeoverStep = "prepare"
	TakeoverTake    TakeoverStep = "take"
	TakeoverAbort   TakeoverStep = "abort"
)

// TakeoverAnswer is how far the passive is with it.
type TakeoverAnswer struct {
	Step     string `json:"step"` // of its own operation
	Sentence string `json:"sentence,omitempty"`
}

// Takeover hears what the active of a switchover says.
func (m *Monitor) Takeover(context.Context, Takeover) (TakeoverAnswer, error) {
	return TakeoverAnswer{}, &RefusedError{"no switchover is under way"}
}
