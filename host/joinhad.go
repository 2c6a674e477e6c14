package host

import (
	"cmp"
	"context"
	"strings"

	"keytrustee/postgres"
	"keytrustee/replication"
)

// given is what a host that was a passive gives up in order to join: it may hold what the active lacks.
type given struct {
	Confirmed postgres.LSN          `json:"confirmed,omitempty"` // how far it was confirmed
	Log       *replication.Boundary `json:"log,omitempty"`       // of its data; nil: it can not be read
}

// giveUp returns the journal with what this host gives up, looked at as long as it lies where it was: an attempt that goes on after a
// crash finds a copy in its place, or half of one.
func (j *join) giveUp(ctx context.Context, journal Journal) (Journal, error) {
	if journal.Incarnation != "" || j.had == nil {
		return journal, nil
	}
	var err error
	if journal.Kept, err = asideName(strings.TrimSuffix(j.StateFile(), ".json"), ".json"); err != nil {
		return journal, err
	}
	if j.had.Duty != replication.Passive {
		return journal, nil
	}
	journal.Given = &given{Confirmed: j.had.LastConfirmed}
	b, err := replication.BoundaryOf(ctx, j.inst, cmp.Or(j.o.Former, j.PGRoot), *j.had)
	if err == nil {
		journal.Given.Log = &b
	}
	return journal, context.Cause(ctx) // what can not be read is lost, unless there was no time for it
}
