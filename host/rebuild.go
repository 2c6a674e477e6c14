package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"keytrustee/internal/durable"
	"keytrustee/kms/seal"
	"keytrustee/postgres"
	"keytrustee/replication"
)

// RebuildOptions say how a host is rebuilt from a backup.
type RebuildOptions struct {
	// Unpack lays the backup out in dir, which it makes, and returns nil when every byte of it is known to be what was written.
	Unpack   func(ctx context.Context, dir string) (Backup, error)
	Recovery string // the recovery key, as a person keeps it
	Name     string // of this host: the backup's, or that of the other host of the pair; empty: the backup's
	Address  string // by which this host is reached; empty: as it was
	// AlsoAsk are addresses where a host of the cluster may live that the backup does not know: one that joined later.
	AlsoAsk []string
	// Configure saves node.yaml with what the backup told, and returns the Host as it is configured from now on.
	Configure func(Learned) (*Host, error)
	// Check returns nil when every version of every key in the database opens with ring, and none is missing; with dump, when none is there
	// beside them either.
	Check    func(ctx context.Context, server *postgres.Server, ring *seal.Keyring, dump bool) error
	FromDump bool   // leave the base backup alone, also where its version of PostgreSQL is at hand
	Confirm  string // what the operator says of the lost hosts; empty: look, and change nothing
	Progress Progress
}

// rebuild is one attempt.
type rebuild struct {
	*Host
	o      RebuildOptions
	looked replication.Operated // what was looked at, and what would be done

	backup      Backup
	was         replication.State // of the host of the backup, when it was made
	confdir     string            // of the backup, while that is laid out
	files       map[string][]byte // of that confdir
	wraps       []seal.Wrap
	self, other string // this host's name, and that of the other one; empty: there was none
	address     string // by which this host was reached
	epoch       replication.Epoch
	incarnation string
	recovered   replication.Recovered

	marker  string // in the data directory: it is this restore's
	claimed bool   // what lies at the paths that this rebuild makes is of this attempt

	installation postgres.Installation
	fromDump     string // why the keys come from the dump; empty: they come from the base backup
}

// ofBackup is what a rebuild has to know of its earlier attempts.
type ofBackup struct {
	Of      string    `json:"of"`      // the host
	Started time.Time `json:"started"` // when the backup was begun
	Makes   []string  `json:"makes"`   // what it makes: the paths, at none of which something was
	// Ended: the last attempt was not killed, and Made has the SHA-256 of each file that lay at one of Makes, or below it, at its end. What
	// is another one by then somebody else has put there.
	Ended bool              `json:"ended,omitempty"`
	Made  map[string]string `json:"made,omitempty"`
}

// Rebuild makes this host, which is of no pair, the active of a pair that is lost, out of a backup and with the recovery key: with a root
// key and certificates of its own, in a new epoch, on a new timeline, and without a passive. Nothing that is there is replaced. What was
// looked at it returns; without Confirm that is all, and nothing is left. When it returns nil otherwise, every version of every key has
// been opened with the new root key, and this host can be started. After an error repeating the command is safe, and Abort ends it.
func (h *Host) Rebuild(ctx context.Context, o RebuildOptions) (replication.Operated, error) {
	r := &rebuild{Host: h, o: o, incarnation: replication.NewIncarnation()}
	if err := r.check(ctx); err != nil {
		return r.looked, err
	}
	release, err := h.lockData(ctx)
	if err != nil {
		return r.looked, err
	}
	defer release()
	steps := []step{{unpacking, r.unpack}}
	if o.Confirm != "" {
		steps = append(steps, step{bootstrapping, r.bootstrap}, step{recovering, r.recover}, step{completing, r.complete})
	}
	err = h.operate(ctx, rebuildOperation, steps...)
	if err != nil && ctx.Err() != nil { // the rest follows from it
		err = fmt.Errorf("the restore was broken off: %w", context.Cause(ctx))
	}
	if err != nil {
		return r.looked, errors.Join(err, r.noteMade())
	}
	if r.marker != "" {
		_ = durable.Remove(r.marker) // the restore has ended: a mark that stays is an empty directory that nobody looks for
	}
	return r.looked, nil
}

// check refuses a host that is of a pair, and one that holds what a rebuild would replace.
func (r *rebuild) check(ctx context.Context) (err error) {
	if _, err := postgres.Find(ctx); err != nil {
		return err
	}
	journal, err := r.Journal()
	if err != nil {
		return err
	}
	if journal == nil || journal.Operation != rebuildOperation {
		journal = new(Journal)
	} else if r.o.Confirm == "" {
		return hinted(journal.goOn(), "a restore from a backup has begun on this host and has not ended")
	}
	if journal.Making != "" && journal.Making != r.PGRoot {
		return hinted(fmt.Sprintf("repeat it with --pg-rootdir %s, or end it: ktadmin restore --abort", journal.Making), "a restore from a backup has begun to unpack it to %s", journal.Making)
	}
	var mine []string
	if journal.Backup != nil {
		mine = journal.Backup.Makes
	}
	for _, path := range r.makes() {
		have, err := exists(path)
		if err != nil {
			return err
		}
		if have && !slices.Contains(mine, path) && !slices.Contains(optional, filepath.Base(path)) {
			return hinted(fmt.Sprintf("if its data is whole, this is no case for a backup: docs/runbook/restore-from-passive.md. If it is of no use, keep it as evidence: systemctl stop keytrusteed keytrustee-db && mv %[1]s %[1]s.lost, then repeat the command", r.Home()),
				"this host is no bare one: there is %s", path)
		}
	}
	entries, err := os.ReadDir(r.PGRoot)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	if len(entries) > 0 && journal.Making != r.PGRoot {
		return hinted("move it aside, or name another one with --pg-rootdir; nothing was changed", "the directory %s is not empty", r.PGRoot)
	}
	return r.checkMarked(journal, r.PGRoot)
}

func (r *rebuild) stage(name string) { r.o.Progress.Stage(stageOf(fromBackup, name)) }

func (r *rebuild) point(name string) error { return r.reached(rebuildOperation + ": " + name) }

// laid is where the backup is laid out, below the data directory that its own becomes.
const laid = ".unpacked"

// unpack lays the backup out, and looks whether the pair may be rebuilt from it. If not, or if that is all that was asked for, nothing is
// left of it.
func (r *rebuild) unpack(ctx context.Context, journal *Journal) error {
	r.stage(unpacking)
	if err := r.stopCopy(ctx, journal); err != nil {
		return err
	}
	before := *journal
	there, err := exists(r.PGRoot)
	if err != nil {
		return err
	}
	if err := errors.Join(r.makeDirectories(), durable.MkdirAll(r.PGRoot, 0o700)); err != nil {
		return err
	}
	if err := r.clearMaking(journal, r.PGRoot); err != nil {
		return err
	}
	r.marker = journal.marker(r.PGRoot)
	err = r.lay(ctx)
	if perr := r.point("unpacked"); perr != nil {
		return perr
	}
	if err == nil && r.o.Confirm != "" {
		return nil
	}
	r.marker = ""
	if cerr := r.removeCopy(context.WithoutCancel(ctx), journal); cerr != nil {
		return errors.Join(err, cerr)
	}
	if !there {
		err = errors.Join(err, os.Remove(r.PGRoot))
	}
	before.Making = ""
	*journal = before
	return errors.Join(err, r.saveJournal(journal))
}

func (r *rebuild) lay(ctx context.Context) (err error) {
	dir := filepath.Join(r.PGRoot, laid)
	if r.backup, err = r.o.Unpack(ctx, dir); err != nil {
		return err
	}
	if err := r.chooseData(ctx); err != nil {
		return err
	}
	if err := r.look(ctx); err != nil {
		return err
	}
	if r.o.Confirm == "" {
		return nil
	}
	if err := r.allowed(); err != nil {
		return err
	}
	if r.fromDump != "" {
		return nil // what has to be read of it still is open
	}
	if err := raise(r.backup.Data, r.PGRoot); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// bootstrap puts the cluster's files in place, and configures this host.
func (r *rebuild) bootstrap(_ context.Context, journal *Journal) error {
	r.stage(bootstrapping)
	if err := r.keepFiles(journal); err != nil {
		return err
	}
	if err := r.claim(journal); err != nil {
		return err
	}
	if err := r.point("claimed"); err != nil {
		return err
	}
	if err := r.writeFiles(); err != nil {
		return err
	}
	configured, err := r.o.Configure(Learned{Name: r.self, Address: r.address, Active: Peer{Name: r.other, Address: r.otherAddress()}})
	if err != nil {
		return err
	}
	configured.failpoint = r.failpoint
	r.Host = configured
	return r.makeDirectories()
}

// recover lets the database recover to the end of its log, or makes it out of the dump, opens what it holds with the recovery key, and makes
// this host one that opens it with a root key of its own.
func (r *rebuild) recover(ctx context.Context, journal *Journal) error {
	r.stage(recovering)
	if r.fromDump != "" {
		return r.recoverDump(ctx, journal)
	}
	server, err := r.Server(ctx)
	if err != nil {
		return err
	}
	return r.recoverCopy(ctx, server, r.point, func(server *postgres.Server, conn *pgx.Conn) error { return r.takeOver(ctx, server, conn) })
}

func (r *rebuild) takeOver(ctx context.Context, server *postgres.Server, conn *pgx.Conn) (err error) {
	if r.recovered, err = replication.Renew(ctx, conn, r.epoch); err != nil {
		return err
	}
	if r.fromDump == "" {
		if r.recovered.Position, err = postgres.Forked(server.Data, r.recovered.Timeline); err != nil {
			return err
		}
	}
	if err := r.readWraps(ctx, conn); err != nil { // a passive's confdir need not have all
		return err
	}
	ring, err := r.newRoot()
	if err != nil {
		return err
	}
	if err := r.point("new root key"); err != nil {
		return err
	}
	if err := r.storeSecrets(ctx, conn); err != nil {
		return err
	}
	if err := r.forgetWraps(ctx, conn); err != nil {
		return err
	}
	if err := r.o.Check(ctx, server, ring, r.fromDump != ""); err != nil {
		return fmt.Errorf("opening what was restored: %w", err)
	}
	return nil
}

// newRoot gives this host a root key and certificates, and returns what that root key opens: all that the recovery key does.
func (r *rebuild) newRoot() (*seal.Keyring, error) {
	lost, err := seal.LoadWithRecovery(r.Confdir, r.o.Recovery)
	if err != nil {
		return nil, err
	}
	authority, err := r.authority(lost)
	if err != nil {
		return nil, err
	}
	if err := durable.MkdirAll(r.ssl(""), 0o700); err != nil {
		return nil, err
	}
	if err := r.completeCluster(authority); err != nil {
		return nil, err
	}
	root, err := seal.NewRoot(seal.RootPath(r.Confdir))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	signer, err := r.signer(now)
	if err != nil {
		return nil, err
	}
	wraps, err := lost.WrapFor(root.Public(), signer)
	if err != nil {
		return nil, err
	}
	if err := seal.WriteWraps(r.Confdir, wraps); err != nil {
		return nil, err
	}
	if err := r.dropWraps(root.Public()); err != nil {
		return nil, err
	}
	if err := r.completeCertificates(); err != nil {
		return nil, err
	}
	if err := r.ConfirmRecovery(r.o.Recovery, now); err != nil {
		return nil, err
	}
	return seal.Load(r.Confdir)
}

// complete writes the state file: from then on this host is the active.
func (r *rebuild) complete(ctx context.Context, _ *Journal) error {
	r.stage(completing)
	server, err := r.Server(ctx)
	if err != nil {
		return err
	}
	control, err := postgres.ReadControl(ctx, server.Installation, server.Data)
	if err != nil {
		return err
	}
	state := r.state(control.SystemID)
	if err := server.SetSignal(postgres.NoSignal); err != nil {
		return err
	}
	if err := replication.PrepareStart(server, state); err != nil {
		return err
	}
	if err := r.point("state"); err != nil {
		return err
	}
	if err := r.replaceState(state); err != nil {
		return err
	}
	return r.bind()
}

// state is that of an active whose passive is lost, as after a promotion: it waits for a new one.
func (r *rebuild) state(systemID uint64) replication.State {
	now := time.Now().UTC().Truncate(time.Second)
	from := "backup"
	if r.fromDump != "" {
		from = "dump in the backup"
	}
	s := replication.State{
		Self: r.self, Duty: replication.Active, Epoch: r.epoch, SystemID: systemID, Incarnation: r.incarnation,
		SyncEnabled: r.was.SyncEnabled || r.was.Duty == replication.Passive, // a passive is not told, as before a promotion
		Confirmed:   replication.Confirmed{Snapshot: r.recovered.Snapshot, Position: r.recovered.Position},
		Outcome: &replication.Outcome{Kind: replication.KindRestore, ID: r.incarnation, Ended: now,
			Sentence: fmt.Sprintf("%s is the active, restored from the %s of %s that was begun at %s; its epoch is %s", r.self, from, r.backup.Host, stamp(r.backup.Started), r.epoch)},
	}
	if r.other != "" {
		s.Former = &replication.Former{Name: r.other, Key: r.otherKey(), Epoch: r.epoch, Since: now}
	}
	return s
}

// allowed refuses a rebuild that something stands against, or that the operator has not confirmed.
func (r *rebuild) allowed() error {
	var against, hints []string
	for _, f := range r.looked.Findings {
		if !f.OK {
			against, hints = append(against, f.What), append(hints, f.Hint)
		}
	}
	switch {
	case len(against) > 0:
		return hinted(strings.Join(hints, "; "), "nothing was restored: %s", strings.Join(against, "; "))
	case r.o.Confirm != r.confirmation():
		return hinted(fmt.Sprintf("say --i-confirm %q, if that is so", r.confirmation()), "nothing was restored: nobody has confirmed that %q", r.confirmation())
	}
	return nil
}
