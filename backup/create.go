package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"

	"keytrustee/internal/durable"
	"keytrustee/internal/seam"
	"keytrustee/postgres"
)

// Options are what Create needs.
type Options struct {
	Server     *postgres.Server // of this host, running as this process's user; primary or standby
	Database   string           // the one that is dumped, and whose rows have to be there again
	Directory  string           // of the backups; made if it is not there
	LockFile   string           // on this host, so that there is one backup at a time; its directory exists
	Sockets    string           // a directory where the server of a restore may have a socket directory of its own
	Recipients Recipients
	By         Authenticator // shows that the backup is by a host of the cluster; nil: this host does not have that key yet
	Facts      Facts
	// Config returns the files that a rebuilt host needs beside its database, by the names they get. No private key is among
	// them.
	Config   func() (map[string][]byte, error)
	Checker  Checker
	Wait     bool             // where another backup is being made, wait for its end
	Paced    bool             // the tables are copied no faster than others hardly notice
	Progress Progress         // nil: nobody hears
	Now      func() time.Time // what the date is; nil: time.Now
	// Record is told of the attempt when it begins and when it has ended, while no other can; nil: nobody is.
	Record func(Attempt)
	// Retention says how many backups of this host stay when there is a new one. Retired is told which ones went, and why others
	// that should have could not; nil: nobody is.
	Retention Retention
	Retired   func(names []string, err error)

	point func(string) error // in tests, is told each point that a crash may follow
}

// run is one call of Create.
type run struct {
	Options
	root *os.Root // Directory
	size int64    // of the databases
	last Receipt  // of the newest backup that is there; none: nothing is known of how much there will be
}

// Create makes a backup of this host, restores it, and publishes it when every row was found again and opened. When it
// returns nil the backup is durable, and listed, and those that Retention does not keep are gone or Retired was told why not. After an error
// nothing of it is there, also where this process is killed: then the next Create removes what is left. An *UnprovenError means that the backup was made and did not restore; a
// *postgres.SetupError that this host, as it is, can not make one.
func Create(ctx context.Context, o Options) (Receipt, error) {
	if len(o.Recipients.texts) < fewest {
		return Receipt{}, errors.New("making a backup: it has no recipients")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	release, err := lock(ctx, o.LockFile, o.Wait)
	if err != nil {
		return Receipt{}, err
	}
	defer release()
	started := o.second()
	if o.Record == nil {
		o.Record = func(Attempt) {}
	}
	o.Record(Attempt{Started: started}) // of one that is killed nothing more is known
	receipt, err := create(ctx, o, started)
	o.Record(EndedAttempt(started, receipt.Name, err))
	return receipt, err
}

// second is the present one.
func (o *Options) second() time.Time { return o.Now().UTC().Truncate(time.Second) }

func create(ctx context.Context, o Options, started time.Time) (Receipt, error) {
	root, err := openDirectory(o.Directory)
	if err != nil {
		return Receipt{}, err
	}
	defer root.Close()
	o.Progress = heard(o.Progress)
	r := &run{Options: o, root: root}
	receipt, err := r.create(ctx, started)
	if err != nil && ctx.Err() != nil { // the rest follows from it
		err = fmt.Errorf("the backup was broken off: %w", context.Cause(ctx))
	}
	if err != nil {
		return receipt, explainDisk(o.Directory, err)
	}
	if err := r.reached("named"); err != nil {
		return receipt, err
	}
	if removed, err := r.retire(receipt.Verified, receipt.Name); o.Retired != nil && (len(removed) > 0 || err != nil) {
		o.Retired(removed, err)
	}
	return receipt, nil
}

func (r *run) create(ctx context.Context, started time.Time) (_ Receipt, err error) {
	if err := r.clean(ctx); err != nil {
		return Receipt{}, fmt.Errorf("removing what an earlier backup has left: %w", err)
	}
	m, err := r.manifest(ctx, started)
	if err != nil {
		return Receipt{}, err
	}
	ctx, spared, err := r.sparing(ctx)
	if err != nil {
		return Receipt{}, err
	}
	defer func() {
		if full := spared(); err != nil && full != nil {
			err = full
		}
	}()
	name, err := r.name(ctx, &m)
	if err != nil {
		return Receipt{}, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.discard(name))
		}
	}()
	own, seal, err := r.Recipients.ephemeral()
	if err != nil {
		return Receipt{}, err
	}
	w, err := r.write(ctx, name, m, seal)
	if err != nil {
		return Receipt{}, fmt.Errorf("making a backup: %w", err)
	}
	if err := r.reached("written"); err != nil {
		return Receipt{}, err
	}
	receipt, err := r.prove(ctx, name, m, w, own)
	if err != nil {
		return Receipt{}, err
	}
	return receipt, r.publish(receipt)
}

// name is a name that no backup has yet. It tells the second in which the backup was begun, so m begins in the next one where that is
// taken.
func (r *run) name(ctx context.Context, m *Manifest) (string, error) {
	for {
		name, err := newName(*m)
		if err != nil {
			return "", err
		}
		taken, err := r.taken(name)
		if err != nil || !taken {
			return name, err
		}
		select {
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-time.After(time.Second):
			m.Started = r.second()
		}
	}
}

// taken reports whether something lies where a backup of that name would.
func (r *run) taken(name string) (bool, error) {
	for _, suffix := range []string{fileSuffix, receiptSuffix} {
		if _, err := r.root.Lstat(name + suffix); err == nil {
			return true, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	return false, nil
}

// manifest is what is known before anything is copied.
func (r *run) manifest(ctx context.Context, started time.Time) (Manifest, error) {
	if _, runs := r.Server.Pid(); !runs {
		return Manifest{}, &postgres.SetupError{Problem: "PostgreSQL does not run on this host", Remedy: "start it: service keytrustee-db start"}
	}
	restored, err := r.trial().throwaway()
	if err != nil {
		return Manifest{}, err
	}
	if err := restored.Check(); err != nil { // now, not after an hour
		return Manifest{}, err
	}
	control, err := postgres.ReadControl(ctx, r.Server.Installation, r.Server.Data)
	if err != nil {
		return Manifest{}, err
	}
	if r.size, err = r.databaseSize(ctx); err != nil {
		return Manifest{}, err
	}
	r.last = newestHere(r.Directory, started)
	if err := checkRoom(r.Directory, r.size); err != nil {
		return Manifest{}, err
	}
	return Manifest{
		Format: Format, Facts: r.Facts, PostgreSQL: r.Server.Version.String(), SystemID: control.SystemID, Timeline: control.Timeline,
		Started: started, Recipients: r.Recipients.texts,
	}, nil
}

func (r *run) databaseSize(ctx context.Context) (n int64, err error) {
	conn, err := pgx.Connect(ctx, r.Server.ConnString(r.Database))
	if err != nil {
		return 0, &postgres.SetupError{Problem: "PostgreSQL does not let this process in", Err: err, Remedy: "look at its log: journalctl -u keytrustee-db"}
	}
	defer conn.Close(context.WithoutCancel(ctx))
	err = conn.QueryRow(ctx, "select sum(pg_database_size(oid))::bigint from pg_database").Scan(&n)
	return n, err
}

// written is what was written, by the word of who wrote it.
type written struct {
	trailer Trailer
	size    int64
	sum     []byte
}

// write makes the partial file. When it returns nil that is on the disk, and no longer in the kernel's memory as far as that
// can be had: whoever reads it next reads the disk.
func (r *run) write(ctx context.Context, name string, m Manifest, seal sealer) (w written, err error) {
	f, err := r.root.OpenFile(name+partialSuffix, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return w, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	a, err := newArchive(f, m, seal)
	if err != nil {
		return w, err
	}
	defer a.end()
	if err := r.reached("begun"); err != nil {
		return w, err
	}
	rows, err := r.fill(ctx, a)
	if err != nil {
		return w, err
	}
	if w.trailer, w.size, w.sum, err = a.close(rows, r.By); err != nil {
		return w, err
	}
	if err := f.Sync(); err != nil {
		return w, err
	}
	unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) // a hint, which may be refused
	return w, nil
}

// publish gives a backup that was proven its name. The receipt comes first: a backup is listed when both are there, so a
// crash between the two leaves a receipt beside a partial file, which the next run knows as nothing.
func (r *run) publish(receipt Receipt) error {
	text, err := json.MarshalIndent(receipt, "", "  ")
	if err != nil {
		return err
	}
	if err := r.reached("proven"); err != nil {
		return err
	}
	path := filepath.Join(r.Directory, receipt.Name)
	if err := durable.WriteFile(path+receiptSuffix, append(text, '\n'), 0o600); err != nil {
		return err
	}
	if err := r.reached("receipt written"); err != nil {
		return err
	}
	return durable.Rename(path+partialSuffix, path+fileSuffix)
}

func (r *run) reached(point string) error {
	seam.Reached("create: " + point)
	if r.point == nil {
		return nil
	}
	return r.point(point)
}
