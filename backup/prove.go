package backup

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"filippo.io/age"
	"github.com/jackc/pgx/v5"

	"keytrustee/postgres"
)

// UnprovenError means that a backup was made and did not stand its restore. It was not published.
type UnprovenError struct{ Err error }

func (e *UnprovenError) Error() string { return "the backup does not restore: " + e.Err.Error() }
func (e *UnprovenError) Unwrap() error { return e.Err }

// Hint is what the operator can do.
func (e *UnprovenError) Hint() string {
	return "it was not published, and the earlier backups are as they were. What is named has to be looked at on this host, and whether the other host has it whole"
}

// prove reads the backup back from the disk, starts a server from it and looks for every row, in the base backup and in the
// dump. Nothing of that is left when it returns.
func (r *run) prove(ctx context.Context, name string, m Manifest, w written, identity age.Identity) (receipt Receipt, err error) {
	defer func() {
		if _, setup := errors.AsType[*postgres.SetupError](err); err != nil && !setup && !diskFull(err) && ctx.Err() == nil {
			err = &UnprovenError{err}
		}
		err = errors.Join(err, r.removeWork(context.WithoutCancel(ctx)))
	}()
	if err := r.root.Mkdir(workDir, 0o700); err != nil {
		return receipt, err
	}
	r.stage("reading the backup back")
	if err := r.readBack(ctx, name, m, w, identity); err != nil {
		return receipt, err
	}
	if err := r.reached("read back"); err != nil {
		return receipt, err
	}
	r.stage("restoring it")
	receipt = Receipt{Format: Format, Name: name, Size: w.size, SHA256: hex.EncodeToString(w.sum), Manifest: m, Streams: w.trailer.Streams}
	server, err := r.throwaway()
	if err != nil {
		return receipt, err
	}
	if err := postgres.VerifyBackup(ctx, server.Installation, server.Data, nil); err != nil {
		return receipt, err
	}
	start, end, timeline, err := postgres.BackupRange(server.Data)
	if err != nil {
		return receipt, err
	}
	receipt.Start, receipt.End = Position{LSN: start}, Position{timeline, end}
	if err := server.StartThrowaway(ctx); err != nil {
		return receipt, err
	}
	if err := r.reached("restored"); err != nil {
		return receipt, err
	}
	if receipt.Newer, err = r.compare(ctx, server, r.Database, w.trailer.Rows, false); err != nil {
		return receipt, fmt.Errorf("its base backup: %w", err)
	}
	if err := r.restoreDump(ctx, server, w.trailer.Rows); err != nil {
		return receipt, fmt.Errorf("its dump: %w", err)
	}
	receipt.Rows, receipt.Verified = w.trailer.Rows, time.Now().UTC().Truncate(time.Second)
	return receipt, nil
}

// readBack reads the file from the disk, holds every byte against what was written, and unpacks it into the work directory.
func (r *run) readBack(ctx context.Context, name string, m Manifest, w written, own age.Identity) error {
	f, err := r.root.Open(name + partialSuffix)
	if err != nil {
		return err
	}
	defer f.Close()
	into, err := r.root.OpenRoot(workDir)
	if err != nil {
		return err
	}
	defer into.Close()
	u, err := unpack(reader{ctx, f}, Identities{[]identity{{own, "of the run"}}}, into)
	switch {
	case err != nil:
		return err
	case !sameJSON(u.manifest, m):
		return errors.New("its manifest is not what was written")
	case !sameJSON(u.trailer, w.trailer):
		return errors.New("its trailer is not what was written")
	case u.Size != w.size || u.SHA256 != hex.EncodeToString(w.sum):
		return errors.New("the file is not what was written")
	}
	return nil
}

// compare holds the rows of a database against the list of rows. With exact there is nothing else in it; otherwise everything
// that is sealed is opened too, and newer is how many rows are not on the list.
func (r *run) compare(ctx context.Context, server *postgres.Server, db string, want Count, exact bool) (newer int64, err error) {
	list, err := r.root.Open(filepath.Join(workDir, rowsStream))
	if err != nil {
		return 0, err
	}
	defer list.Close()
	conn, err := pgx.Connect(ctx, server.ConnString(db))
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	e, err := expect(list, exact)
	if err != nil {
		return 0, err
	}
	look := r.Checker.Open
	if exact {
		look = r.Checker.Rows
	}
	if err := pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		return look(ctx, tx, e.found)
	}); err != nil {
		return 0, err
	}
	if err := e.end(); err != nil {
		return 0, err
	}
	if e.count != want {
		return 0, fmt.Errorf("its list of rows has %+v, its trailer says %+v", e.count, want)
	}
	return e.newer, nil
}

// restoreDump restores the dump into a database of its own and holds that against the list of rows.
func (r *run) restoreDump(ctx context.Context, server *postgres.Server, want Count) error {
	const db = "restored_dump"
	conn, err := pgx.Connect(ctx, server.ConnString("postgres"))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "create database "+db+" template template0")
	if err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))); err != nil {
		return err
	}
	dump, err := r.root.Open(filepath.Join(workDir, dumpStream))
	if err != nil {
		return err
	}
	defer dump.Close()
	if err := server.RestoreDump(ctx, dump, db); err != nil {
		return err
	}
	_, err = r.compare(ctx, server, db, want, true)
	return err
}

// reader reads until ctx ends.
type reader struct {
	ctx  context.Context
	from io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.from.Read(p)
}
