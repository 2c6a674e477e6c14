package faults

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kind is what a client asks for.
type Kind string

// The requests. Purge is not among them: without access rules nobody may purge.
const (
	Create   Kind = "create"
	Roll     Kind = "roll"
	Delete   Kind = "delete"
	Undelete Kind = "undelete"
	Current  Kind = "current"  // the newest version
	Version  Kind = "version"  // one version by its name
	Versions Kind = "versions" // all of them
)

func (k Kind) writes() bool { return slices.Contains([]Kind{Create, Roll, Delete, Undelete}, k) }
func (k Kind) makes() bool  { return k == Create || k == Roll }

// Outcome is what the client knows afterwards.
type Outcome string

// The outcomes. Of a write: Done, Failed (the state of the key forbids it, for certain), Refused (nothing was attempted), Unsent
// (no connection), or Unknown. Of a read: Done, Absent (the host is certain that there is none), Refused, Unsent, Unknown (no answer).
const (
	Done    Outcome = "done"
	Absent  Outcome = "absent"
	Failed  Outcome = "failed"
	Refused Outcome = "refused"
	Unsent  Outcome = "unsent"
	Unknown Outcome = "unknown"
)

// Served is a version that a host has shown.
type Served struct {
	Number int    `json:"number"`
	Hash   string `json:"hash"` // of its material
}

// Op is one delivery of a request to one host. Times count from the beginning of the run.
type Op struct {
	ID        int           `json:"id"`
	Client    int           `json:"client"`
	Host      string        `json:"host"` // that was asked
	Kind      Kind          `json:"kind"`
	Key       string        `json:"key"`
	Number    int           `json:"number,omitempty"`     // of the version that Version asks for
	RequestID string        `json:"request_id,omitempty"` // deliveries with the same one are one write
	Given     string        `json:"given,omitempty"`      // hash of the material that the client chose; empty: the server chooses
	Invoked   time.Duration `json:"invoked"`
	Returned  time.Duration `json:"returned"`
	Outcome   Outcome       `json:"outcome"`
	Answer    string        `json:"answer,omitempty"` // the status and the reason, for people
	Served    []Served      `json:"served,omitempty"` // what it showed; the version made, of a create or a roll
}

func (o Op) acknowledged() bool { return o.Kind.writes() && o.Outcome == Done }

// mayChange reports whether the write has changed something, or may yet.
func (o Op) mayChange() bool { return o.Kind.writes() && (o.Outcome == Done || o.Outcome == Unknown) }

func (o Op) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "#%d %v-%v client %d at %s: %s %s", o.ID, o.Invoked.Round(time.Millisecond), o.Returned.Round(time.Millisecond),
		o.Client, o.Host, o.Kind, o.Key)
	if o.Kind == Version {
		fmt.Fprintf(&b, "@%d", o.Number)
	}
	if o.RequestID != "" {
		fmt.Fprintf(&b, " id %s", o.RequestID)
	}
	if o.Given != "" {
		fmt.Fprintf(&b, " with %s", o.Given)
	}
	fmt.Fprintf(&b, ": %s", o.Outcome)
	if o.Answer != "" {
		fmt.Fprintf(&b, " (%s)", o.Answer)
	}
	for _, s := range o.Served {
		fmt.Fprintf(&b, " @%d=%s", s.Number, s.Hash)
	}
	return b.String()
}

// HashOf is how histories name material: enough of its SHA-256 to tell any two apart, and nothing of the key.
func HashOf(material []byte) string {
	sum := sha256.Sum256(material)
	return hex.EncodeToString(sum[:8])
}
