package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"keytrustee/internal/seam"
	"keytrustee/postgres"
)

// TestOptions are what RestoreTest needs.
type TestOptions struct {
	File       *os.File // the backup, from its beginning
	Identities Identities
	Origin     Origin // what it has to show of who made it
	Directory  string // where it is restored: made if it is not there, this process's user's alone, and empty again afterwards
	Database   string // whose rows are looked for
	FromDump   bool   // the base backup is left alone, also where its version of PostgreSQL is at hand
	// Fits is asked before anything is unpacked: an error ends it.
	Fits func(Manifest) error
	// Keys returns who knows the rows and opens them, with what lies in config, a ConfigDir.
	Keys     func(config string, m Manifest) (Checker, error)
	Progress Progress // nil: nobody hears

	point func(string) error // in tests, is told each point that a crash may follow
}

// Tested is what a restore test has shown of a backup. It holds no secret.
type Tested struct {
	Format      int       `json:"format"`
	Name        string    `json:"name"`
	SHA256      string    `json:"sha256"` // of the file
	Host        string    `json:"host"`   // that it is of
	Cluster     string    `json:"cluster_id"`
	Started     time.Time `json:"started"` // the backup
	Tested      time.Time `json:"tested"`
	Recipient   string    `json:"recipient"`    // whose identity has opened it
	RecoveryKey string    `json:"recovery_key"` // fingerprint of the one that has opened every version
	Rows        Count     `json:"rows"`
	Newer       int64     `json:"newer_rows"`         // in the base backup alone
	PostgreSQL  string    `json:"postgresql_version"` // that it was restored with
	// Authenticated: it has shown by itself that it is by a host of the cluster; otherwise whoever tested it had its SHA-256.
	Authenticated bool `json:"authenticated"`
	// DumpAlone says why the base backup was not started; empty: it was, and the dump was restored beside it.
	DumpAlone string `json:"dump_alone,omitempty"`
}

// FailedTestError means that a backup was opened and did not stand its restore test.
type FailedTestError struct {
	Name string
	Err  error
}

func (e *FailedTestError) Error() string {
	return "the backup " + e.Name + " did not stand the test: " + e.Err.Error()
}
func (e *FailedTestError) Unwrap() error { return e.Err }

// Hint is what the operator can do.
func (e *FailedTestError) Hint() string {
	return "repeat the test on another computer, for this one may be at fault; test another backup; and look at both hosts before you need one of them: ktadmin backup create"
}

// RestoreTest proves a backup with nothing but what lies off the hosts: an identity opens it, a server is started from it, every row is
// there again, and every version opens with what Keys returns. Where there is no PostgreSQL of the backup's major version, or FromDump asks
// for it, the server is a new one into which the dump is restored, and Tested says so. When it returns, nothing of that is left in
// Directory, whatever came of it; what a run that was killed has left there it removes first. Nothing is started from a backup that somebody
// else has made. The errors are those of Unpack, and a *FailedTestError.
func RestoreTest(ctx context.Context, o TestOptions) (tested Tested, err error) {
	defer func() {
		if err != nil && ctx.Err() != nil { // the rest follows from it
			err = fmt.Errorf("the test was broken off: %w", context.Cause(ctx))
		}
	}()
	o.Progress = heard(o.Progress)
	m, recipient, err := ReadManifest(ctx, o.File, o.Identities)
	if err != nil {
		return tested, err
	}
	if err := o.Fits(m); err != nil {
		return tested, err
	}
	name, err := newName(m)
	if err != nil {
		return tested, &DamageError{filepath.Base(o.File.Name()), err}
	}
	t, done, err := o.trial(ctx, m)
	if err != nil {
		return tested, err
	}
	defer done()
	defer func() { err = errors.Join(err, t.remove(context.WithoutCancel(ctx))) }()

	u, err := Unpack(ctx, o.File, o.Identities, o.Origin, filepath.Join(o.Directory, workDir), o.Progress)
	if err != nil {
		return tested, err
	}
	if !reflect.DeepEqual(u.Manifest, m) { // it was read twice, from a place that others may write to
		return tested, &DamageError{filepath.Base(o.File.Name()), errors.New("it has become another one while it was read")}
	}
	if err := t.reached("unpacked"); err != nil {
		return tested, err
	}
	checker, err := o.Keys(filepath.Join(o.Directory, workDir, ConfigDir), u.Manifest)
	if err != nil {
		return tested, err
	}
	found, err := t.restore(ctx, checker, u.Trailer.Rows)
	if err != nil {
		if _, setup := errors.AsType[*postgres.SetupError](err); setup || ctx.Err() != nil {
			return tested, err
		}
		return tested, &FailedTestError{name, err}
	}
	return Tested{
		Format: Format, Name: name, SHA256: u.SHA256, Host: m.Host, Cluster: m.Cluster, Started: m.Started, Tested: time.Now().UTC().Truncate(time.Second),
		Recipient: recipient, RecoveryKey: m.RecoveryKey, Rows: u.Trailer.Rows, Newer: found.newer, PostgreSQL: t.installation.Version.String(),
		Authenticated: u.Authenticated, DumpAlone: t.why,
	}, nil
}

// trial makes a place for the restore, with nothing in it. done gives it to others.
func (o TestOptions) trial(ctx context.Context, m Manifest) (t trial, done func(), err error) {
	major, err := m.Major()
	if err != nil {
		return t, nil, &DamageError{filepath.Base(o.File.Name()), err}
	}
	inst, why, err := postgres.FindForBackup(ctx, major, o.FromDump)
	if err != nil {
		return t, nil, err
	}
	root, err := openClosed(o.Directory, "the directory to restore into", "--directory")
	if err != nil {
		return t, nil, err
	}
	release, err := lockDirectory(root, o.Directory)
	if err != nil {
		root.Close()
		return t, nil, err
	}
	done = func() { release(); root.Close() }
	t = trial{
		root: root, directory: o.Directory, work: workDir, socket: filepath.Join(o.Directory, workDir, "s"), installation: inst, database: o.Database,
		why: why, major: major, reached: o.reached, progress: o.Progress,
	}
	server, err := t.throwaway()
	if err == nil {
		err = server.Check() // now, not after an hour
	}
	if err == nil {
		err = t.remove(ctx)
	}
	if err == nil {
		err = o.checkRoom()
	}
	if err != nil {
		done()
	}
	return t, done, err
}

// checkRoom refuses to begin where the backup, unpacked and restored, would not fit.
func (o TestOptions) checkRoom() error {
	info, err := o.File.Stat()
	if err != nil {
		return err
	}
	free, err := freeIn(o.Directory)
	if err != nil {
		return err
	}
	const copies = 3 // as it was unpacked, the dump restored, and the log of that
	if want := copies*uint64(info.Size()) + reserve; free < want {
		return &postgres.SetupError{Problem: fmt.Sprintf("there is no room to restore the backup in %s: %d MiB are free, and %d MiB are wanted", o.Directory, free>>20, want>>20),
			Remedy: "free some, or name a directory on another disk with --directory"}
	}
	return nil
}

func (o TestOptions) reached(point string) error {
	seam.Reached("restore test: " + point)
	if o.point == nil {
		return nil
	}
	return o.point(point)
}
