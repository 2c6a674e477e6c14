package replication

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"

	"keytrustee/postgres"
)

// Epoch names one age of the pair. It is new at every promotion, restore and replacement of a passive. Two epochs with one
// number and two ids are two histories.
type Epoch struct {
	Number int    `json:"number"`
	ID     string `json:"id"`
}

// NewEpoch returns an epoch of that number that nobody else has.
func NewEpoch(number int) Epoch { return Epoch{number, randomID()} }

// Next is the epoch that follows e, with an id of its own.
func (e Epoch) Next() Epoch { return NewEpoch(e.Number + 1) }

// IsZero reports whether e names no epoch.
func (e Epoch) IsZero() bool { return e == Epoch{} }

func (e Epoch) String() string { return fmt.Sprintf("%d-%s", e.Number, e.ID) }

// supersededBy reports whether a node of epoch e must make way for one of epoch other: a higher number, or its own number
// under another id.
func (e Epoch) supersededBy(other Epoch) bool {
	return other.Number > e.Number || other.Number == e.Number && other.ID != e.ID
}

// StandbyName is the peer's application_name and the name of its slot in this epoch: kt_<peer>_<number>_<id>, in the
// characters that PostgreSQL takes in the name of a slot.
func (e Epoch) StandbyName(peer string) string {
	safe := strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToLower(peer))
	tail := fmt.Sprintf("_%d_%.4s", e.Number, e.ID)
	const longest = 63 // NAMEDATALEN - 1
	return "kt_" + safe[:min(len(safe), longest-len("kt_")-len(tail))] + tail
}

// World is what positions can be compared in. Positions of two worlds have nothing to do with each other.
type World struct {
	SystemID    uint64            `json:"system_id,string"`
	Timeline    postgres.Timeline `json:"timeline"`
	Epoch       Epoch             `json:"epoch"`
	Incarnation string            `json:"incarnation"` // of the passive's data: new at every clone
}

// NewIncarnation names a data directory: one that has just been made, or cloned.
func NewIncarnation() string { return randomID() }

func randomID() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
