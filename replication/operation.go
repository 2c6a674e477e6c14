package replication

import (
	"fmt"
	"time"

	"keytrustee/postgres"
)

// Operation is an act of an operator that is under way: an intent, on the disk before its first effect. Monitor goes towards
// it in steps, each of which can be taken again, so a daemon that was killed at any of them goes on after its start. While
// there is one the gate is shut.
type Operation struct {
	Kind  OperationKind `json:"kind"`
	Step  string        `json:"step,omitempty"` // the step that is being taken; the names belong to the kind
	ID    string        `json:"id"`             // on both hosts the same
	Epoch Epoch         `json:"epoch,omitzero"` // the one that begins with it
	Note  string        `json:"note,omitempty"` // why, or what it waits for
	By    string        `json:"by,omitempty"`   // who gave the command
	Since time.Time     `json:"since"`
	Until time.Time     `json:"until,omitzero"` // hold: when it ends by itself

	// End is where the WAL of an active that was shut down ends, Hash the SHA-256 of the bytes from From to there.
	From postgres.LSN `json:"from,omitempty"`
	End  postgres.LSN `json:"end,omitempty"`
	Hash []byte       `json:"hash,omitempty"`
}

// OperationKind is what an operation is.
type OperationKind string

// The kinds.
const (
	KindHold       OperationKind = "hold"
	KindPromotion  OperationKind = "promotion"
	KindSwitchover OperationKind = "switchover"
	KindRestore    OperationKind = "restore"
)

// Reason is why the gate is shut while o is under way.
func (o Operation) Reason() Reason {
	switch o.Kind {
	case KindHold:
		return OperatorHold
	case KindRestore:
		return Restoring
	}
	return Switchover
}

// ends says how what is under way on this host ends, for whoever wants something else.
func (s State) ends() string {
	o := s.Operation
	switch {
	case o == nil && s.Pending != nil:
		return fmt.Sprintf("wait for ktadmin init-slave on %s, or give it up: ktadmin init-slave --abort", s.Pending.Peer.Name)
	case o == nil:
		return ""
	case o.Kind == KindHold:
		return "a hold ends with ktadmin cluster release"
	case o.Kind == KindRestore && s.Pending != nil:
		return fmt.Sprintf("wait for ktadmin restore on %s, or give it up: ktadmin restore --abort", s.Pending.Peer.Name)
	case o.Kind == KindSwitchover && (o.Step == StepClose || o.Step == StepStop || o.Step == StepHand || o.Step == StepPrepare):
		return "wait for its end, or abort it: ktadmin cluster switchover --abort"
	}
	return "it goes on by itself, and ktadmin status shows how far it is: wait for its end"
}

// Outcome is how the last operation ended, for people.
type Outcome struct {
	Kind     OperationKind `json:"kind"`
	ID       string        `json:"id"`
	Ended    time.Time     `json:"ended"`
	Sentence string        `json:"sentence"`
}

// Former was the peer and is it no longer. It is turned away and told the epoch, so that it fences itself.
type Former struct {
	Name  string    `json:"name"`
	Key   string    `json:"key,omitempty"` // of its cluster certificate; see KeyOf
	Epoch Epoch     `json:"epoch"`         // the one in which it is the peer no longer
	Since time.Time `json:"since"`
}

// former is p as one that is the peer no longer, in that epoch.
func (p Peer) former(epoch Epoch, now time.Time) *Former {
	return &Former{Name: p.Name, Key: p.Key, Epoch: epoch, Since: now}
}

// NewOperation returns an operation of that kind, begun now, with an ID of its own.
func NewOperation(kind OperationKind, by, note string, now time.Time) *Operation {
	return &Operation{Kind: kind, ID: randomID(), By: by, Note: note, Since: now}
}

// endOperation takes the operation of that ID out of s, and leaves how it ended. It reports whether it was there.
func (s *State) endOperation(id string, now time.Time, format string, args ...any) bool {
	o := s.Operation
	if o == nil || o.ID != id {
		return false
	}
	s.Operation, s.Outcome = nil, &Outcome{Kind: o.Kind, ID: o.ID, Ended: now, Sentence: fmt.Sprintf(format, args...)}
	return true
}
