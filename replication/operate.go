package replication

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Command is what an operator tells a host to do.
type Command struct {
	Act  Act           `json:"act"`
	By   string        `json:"by,omitempty"`   // who gives it
	Note string        `json:"note,omitempty"` // why
	For  time.Duration `json:"for,omitempty"`  // hold: how long
	Name string        `json:"name,omitempty"` // the host that it is about, where there is one
	// Confirm is what the operator says; see Confirmation and NotPromoted.
	Confirm string `json:"confirm,omitempty"`
	// Check: say what would be done, and whether it could be, and change nothing.
	Check bool `json:"check,omitempty"`
	// Relay: the peer's name, where the command was given there. It goes no further.
	Relay string `json:"relay,omitempty"`
}

// Act is what a command is for.
type Act string

// The acts.
const (
	ActHold       Act = "hold"
	ActRelease    Act = "release"
	ActRemove     Act = "remove"
	ActPromote    Act = "promote"
	ActSwitchover Act = "switchover"
	ActAbort      Act = "abort"
)

// Operated is what came of a command. The intent is on the disk when the command has returned; how far it has come, the
// state's Operation and Outcome say.
type Operated struct {
	Host      string     `json:"host"`                // where it was carried out
	Sentence  string     `json:"sentence"`            // what is so now
	Operation *Operation `json:"operation,omitempty"` // the one that has begun
	Findings  []Finding  `json:"findings,omitempty"`  // of a check
	Plan      []string   `json:"plan,omitempty"`      // of a check: what would be done, in order
}

// Finding is one thing that was looked at before an act.
type Finding struct {
	What string `json:"what"`
	OK   bool   `json:"ok"`
	Hint string `json:"hint,omitempty"` // what to do about it
}

// Operate carries out c at this host, or has the peer do it where that is the peer's to do. An error that is a *RefusedError:
// nothing was changed.
func (m *Monitor) Operate(ctx context.Context, c Command) (Operated, error) {
	do := acts[c.Act]
	switch {
	case do == nil:
		return Operated{}, &RefusedError{fmt.Sprintf("%s does not know what %q is", m.state.Current().Self, c.Act)}
	case c.Relay != "" && !relayed[c.Act]:
		return Operated{}, &RefusedError{fmt.Sprintf("%s is told to %s by an operator on %s itself, and by no other host", m.state.Current().Self, c.Act, m.state.Current().Self)}
	}
	return do(m, ctx, c)
}

// acts has a row for each act. Their functions take acting where they need it.
var acts = map[Act]func(*Monitor, context.Context, Command) (Operated, error){
	ActHold:       (*Monitor).hold,
	ActRelease:    (*Monitor).release,
	ActRemove:     (*Monitor).remove,
	ActPromote:    (*Monitor).promote,
	ActSwitchover: (*Monitor).switchover,
	ActAbort:      (*Monitor).abort,
}

// relayed are the acts that a host has its peer carry out. What a host does without its peer, its own operator says.
var relayed = map[Act]bool{ActHold: true, ActRelease: true, ActSwitchover: true, ActAbort: true}

// relay has the peer carry out c.
func (m *Monitor) relay(ctx context.Context, c Command) (Operated, error) {
	state := m.state.Current()
	switch {
	case c.Relay != "":
		return Operated{}, &RefusedError{fmt.Sprintf("%s is %s, and so is %s, as it seems: %s is for the other one", state.Self, state.Duty, c.Relay, c.Act)}
	case state.Peer == nil:
		return Operated{}, &RefusedError{fmt.Sprintf("%s is %s and knows no other host", state.Self, state.Duty)}
	}
	c.Relay = state.Self
	o, err := m.caller.Operate(ctx, *state.Peer, c)
	if _, refused := errors.AsType[*RefusedError](err); err != nil && !refused {
		return o, &UnrelayedError{state.Peer.Name, err}
	}
	return o, err
}

// UnrelayedError: the host that a command is for has not answered. Whether it has carried it out is not known.
type UnrelayedError struct {
	Host string
	Err  error
}

func (e *UnrelayedError) Error() string {
	return "this command is for " + e.Host + ": " + e.Err.Error()
}

func (e *UnrelayedError) Unwrap() error { return e.Err }
