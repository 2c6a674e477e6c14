package postgres

import "context"

// BaseBackupOptions say what to copy, and where to.
type BaseBackupOptions struct {
	ConnString string  // of the source, as a role that may replicate; it shows in the process table, so it holds no password
	Slot       string  // the replication slot to stream through; empty: none
	CreateSlot bool    // make it first; an error if it exists
	Target     string  // an empty or absent directory
	RunAs      *OSUser // who owns the copy; nil: this process's user
}

// BaseBackup copies a running server's data directory, with the log that makes it consistent and a manifest of SHA-256
// sums. When it returns nil the copy is on the disk, owned by RunAs; it was not verified and has no signal file. After an
// error Target is as it was. progress may be nil; total is an estimate and may grow.
func BaseBackup(ctx context.Context, inst Installation, o BaseBackupOptions, progress func(done, total int64)) error {
	panic("not built yet")
}

// VerifyBackup compares a base backup that was never started with its manifest, and parses its log. A *DamageError names
// the files that differ.
func VerifyBackup(ctx context.Context, inst Installation, dir string, runAs *OSUser) error {
	panic("not built yet")
}

// DamageError means that a base backup is not what its manifest says.
type DamageError struct {
	Dir   string
	Files []string // relative to Dir; empty where the fault is not one file's
	Text  string   // what pg_verifybackup says
}

func (e *DamageError) Error() string { return "the base backup in " + e.Dir + " is damaged: " + e.Text }
