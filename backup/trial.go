package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"keytrustee/postgres"
)

// trial is the restore that a backup has to stand: where it is unpacked, and the server that is started from it.
type trial struct {
	root         *os.Root // of directory
	directory    string   // has, or gets, work
	work         string   // where it is unpacked, and nothing else is
	socket       string   // of the server, a directory of its own
	installation postgres.Installation
	database     string // whose rows are looked for
	why          string // the base backup is left alone, and the dump has to stand it; empty: both have to
	major        int    // of the PostgreSQL that has made the backup, where why is not empty
	reached      func(point string) error
	progress     Progress
}

// restored is what was seen of a backup that was restored.
type restored struct {
	start, end Position
	newer      int64 // rows of the base backup that are not on the list
}

// restore starts a server from what was unpacked into the work directory and looks for every row, in the base backup and in the
// dump. The server may run then; remove ends it.
func (t trial) restore(ctx context.Context, c Checker, want Count) (found restored, err error) {
	t.progress.Begin("restoring it")
	c = counting{c, t.progress}
	server, err := t.throwaway()
	if err != nil {
		return found, err
	}
	if t.why != "" {
		if err := t.restoreAlone(ctx, server, c, want); err != nil {
			return found, fmt.Errorf("its dump: %w", err)
		}
		return found, nil
	}
	if err := postgres.VerifyBackup(ctx, server.Installation, server.Data, nil); err != nil {
		return found, err
	}
	start, end, timeline, err := postgres.BackupRange(server.Data)
	if err != nil {
		return found, err
	}
	found.start, found.end = Position{LSN: start}, Position{timeline, end}
	if err := server.StartThrowaway(ctx); err != nil {
		return found, err
	}
	if err := t.reached("restored"); err != nil {
		return found, err
	}
	t.progress.Begin("opening every version")
	if found.newer, err = t.compare(ctx, server, t.database, c.Open, want, false); err != nil {
		return found, fmt.Errorf("its base backup: %w", err)
	}
	if err := t.restoreDump(ctx, server, c, want); err != nil {
		return found, fmt.Errorf("its dump: %w", err)
	}
	return found, nil
}

// restoreAlone restores the dump, with the roles, into a server that has nothing else, and opens what it brings.
func (t trial) restoreAlone(ctx context.Context, server *postgres.Server, c Checker, want Count) error {
	globals, err := t.root.Open(filepath.Join(t.work, globalsStream))
	if err != nil {
		return err
	}
	defer globals.Close()
	dump, err := t.root.Open(filepath.Join(t.work, dumpStream))
	if err != nil {
		return err
	}
	defer dump.Close()
	if err := server.CheckDump(ctx, dump, t.major); err != nil {
		return err
	}
	if err := server.StartEmptyThrowaway(ctx); err != nil {
		return err
	}
	if err := t.reached("restored"); err != nil {
		return err
	}
	if err := t.makeDatabase(ctx, server); err != nil {
		return err
	}
	t.progress.Begin("restoring its dump")
	if info, err := dump.Stat(); err == nil {
		t.progress.Bytes(info.Size(), false)
	}
	if err := server.LoadDump(ctx, globals, readTo(t.progress, dump), dumpDatabase, t.major); err != nil {
		return err
	}
	t.progress.Begin("opening every version")
	_, err = t.compare(ctx, server, dumpDatabase, c.Open, want, true)
	return err
}

// compare holds the rows of a database against the list of rows. With exact there is nothing else in it; newer is how many rows are not on
// the list.
func (t trial) compare(ctx context.Context, server *postgres.Server, db string, rows look, want Count, exact bool) (newer int64, err error) {
	list, err := t.root.Open(filepath.Join(t.work, rowsStream))
	if err != nil {
		return 0, err
	}
	defer list.Close()
	conn, err := pgx.Connect(ctx, server.ConnString(db))
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		t.progress.Versions(want.Versions, false)
		newer, err = compare(ctx, tx, rows, list, want, exact)
		return err
	})
	return newer, err
}

// restoreDump restores the dump into a database of its own and holds that against the list of rows.
func (t trial) restoreDump(ctx context.Context, server *postgres.Server, c Checker, want Count) error {
	if err := t.makeDatabase(ctx, server); err != nil {
		return err
	}
	dump, err := t.root.Open(filepath.Join(t.work, dumpStream))
	if err != nil {
		return err
	}
	defer dump.Close()
	t.progress.Begin("restoring its dump")
	if info, err := dump.Stat(); err == nil {
		t.progress.Bytes(info.Size(), false)
	}
	if err := server.RestoreDump(ctx, readTo(t.progress, dump), dumpDatabase); err != nil {
		return err
	}
	t.progress.Begin("looking for every version in it")
	_, err = t.compare(ctx, server, dumpDatabase, c.Rows, want, true) // opened it has in the base backup
	return err
}

// dumpDatabase is where a dump is restored to.
const dumpDatabase = "restored_dump"

func (t trial) makeDatabase(ctx context.Context, server *postgres.Server) error {
	conn, err := pgx.Connect(ctx, server.ConnString("postgres"))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "create database "+dumpDatabase+" template template0")
	return errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
}

// remove ends the server, if it runs, and removes the work directory with all that is in it.
func (t trial) remove(ctx context.Context) error {
	for _, dir := range []string{t.work, filepath.Join(t.work, DataDir)} {
		info, err := t.root.Lstat(dir)
		if errors.Is(err, fs.ErrNotExist) {
			break
		} else if err != nil {
			return err
		}
		if !info.IsDir() { // a link, which could name the data of a server that is no throw-away
			if err := t.root.Remove(dir); err != nil {
				return err
			}
			break
		}
	}
	server, err := t.throwaway()
	if err != nil {
		return err
	}
	if err := server.End(ctx); err != nil {
		return err
	}
	return errors.Join(t.root.RemoveAll(t.work), os.RemoveAll(server.Socket))
}

// throwaway is the server that is started from the backup.
func (t trial) throwaway() (*postgres.Server, error) {
	return postgres.Throwaway(t.installation, filepath.Join(t.directory, t.work), t.socket)
}
