package host

import (
	"fmt"
	"slices"
)

// Stage is one of the stages of a join as an operator sees it, such as "joining: creating (1/5)".
type Stage string

func (s Stage) String() string { return string(s) }

// The stages of a join, in order.
const (
	unpacking     = "unpacking"     // of a rebuild: the backup is laid out, and looked at
	creating      = "creating"      // admitted: certificates, wraps, a slot
	bootstrapping = "bootstrapping" // the cluster's files are in the confdir
	initialSync   = "initial sync"  // the base backup
	verifying     = "verifying"     // every file compared with the backup's manifest
	recovering    = "recovering"    // of a restore, and of a rebuild: the log to its end, and a timeline that begins there
	completing    = "completing"    // settings and state; it can be started
)

var stagesOf = map[JoinKind][]string{
	NewPassive: {creating, bootstrapping, initialSync, verifying, completing},
	Reclone:    {creating, bootstrapping, initialSync, verifying, completing},
	Restore:    {creating, bootstrapping, initialSync, verifying, recovering, completing},
	fromBackup: {unpacking, bootstrapping, recovering, completing},
}

var stageVerbs = map[JoinKind]string{NewPassive: "joining", Reclone: "re-cloning", Restore: "restoring", fromBackup: "restoring"}

// stageOf is the stage of that name in a join of that kind.
func stageOf(kind JoinKind, name string) Stage {
	all := stagesOf[kind]
	return Stage(fmt.Sprintf("%s: %s (%d/%d)", stageVerbs[kind], name, slices.Index(all, name)+1, len(all)))
}

// Progress hears how far a join is. Its methods are called in turn.
type Progress interface {
	Stage(Stage)
	Bytes(done, total int64) // of the base backup; total is an estimate and may grow
}
