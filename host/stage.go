package host

import "fmt"

// Stage is one of the five stages of a join.
type Stage int

// The stages, in order.
const (
	Creating      Stage = iota + 1 // admitted: certificates, wraps, a slot
	Bootstrapping                  // the cluster's files are in the confdir
	InitialSync                    // the base backup
	Verifying                      // every file compared with the backup's manifest
	Completing                     // settings and state; it can be started
)

var stageNames = [...]string{"creating", "bootstrapping", "initial sync", "verifying", "completing"}

// String is what an operator sees, such as "joining: creating (1/5)".
func (s Stage) String() string {
	return fmt.Sprintf("joining: %s (%d/%d)", stageNames[s-1], int(s), len(stageNames))
}

// Progress hears how far a join is. Its methods are called in turn.
type Progress interface {
	Stage(Stage)
	Bytes(done, total int64) // of the base backup; total is an estimate and may grow
}
