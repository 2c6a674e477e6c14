package host

import "keytrustee/replication"

// JoinKind is why a host joins.
type JoinKind string

// The kinds.
const (
	NewPassive JoinKind = "new_passive" // a host that is of no pair, as the passive
	Reclone    JoinKind = "reclone"     // a host of the pair whose data is of no use, as the passive
	Restore    JoinKind = "restore"     // the host of an active whose data is of no use, as the active again, from its passive
)

// fromBackup is why nobody joins: there is nobody to join. A host is rebuilt then, and its stages are told as those of a join.
const fromBackup JoinKind = "from_backup"

// operations are what the journal calls them.
var operations = map[JoinKind]string{NewPassive: joinOperation, Reclone: recloneOperation, Restore: restoreOperation}

const (
	joinOperation    = "join"
	recloneOperation = "re-clone"
	restoreOperation = "restore"
	rebuildOperation = "restore from a backup"
)

// commands are what begins an operation, and goes on with it.
var commands = map[string]string{
	initOperation:      "ktadmin init",
	bootstrapOperation: "ktadmin db --bootstrap",
	joinOperation:      "ktadmin init-slave",
	recloneOperation:   "ktadmin init-slave --reclone",
	restoreOperation:   "ktadmin restore --from-survivor ADDRESS --token-file FILE",
	rebuildOperation:   "ktadmin restore --from-backup FILE --identity FILE --recovery-key FILE --i-confirm TEXT",
}

// aborts are what ends an operation that has not ended, and leaves the host as it was.
var aborts = map[string]string{
	joinOperation:    "ktadmin init-slave --abort",
	recloneOperation: "ktadmin init-slave --abort",
	restoreOperation: "ktadmin restore --abort",
	rebuildOperation: "ktadmin restore --abort",
}

// comeBack is the command that brings a host of that duty back whose data is gone.
func comeBack(duty replication.Duty) string {
	if duty == replication.Active {
		return commands[restoreOperation] + " (see docs/runbook/restore-from-passive.md)"
	}
	return commands[recloneOperation] + " (see docs/runbook/restore-from-passive.md)"
}
