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
	newer      int64 // rows of the base backup that the dump does not have
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
	d, err := OpenDump(filepath.Join(t.directory, t.work))
	if err != nil {
		return found, err
	}
	defer d.Close()
	if t.why != "" {
		if err := t.restoreAlone(ctx, server, c, d, want); err != nil {
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
	if found.newer, err = t.compare(ctx, server, t.database, c.Open, d, c, want, false); err != nil {
		return found, fmt.Errorf("its base backup: %w", err)
	}
	if err := t.restoreDump(ctx, server, c, d, want); err != nil {
		return found, fmt.Errorf("its dump: %w", err)
	}
	return found, nil
}

// restoreAlone restores the dump, with the roles, into a server that has nothing else, and opens what it brings.
func (t trial) restoreAlone(ctx context.Context, server *postgres.Server, c Checker, d Dump, want Count) error {
	if err := server.CheckDump(ctx, d.Of(c), t.major); err != nil {
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
	if err := server.LoadDump(ctx, t.loading(d, c), dumpDatabase, t.major); err != nil {
		return err
	}
	t.progress.Begin("opening every version")
	_, err := t.compare(ctx, server, dumpDatabase, c.Open, d, c, want, true)
	return err
}

// loading is the dump, and the progress hears how far a server is with its rows.
func (t trial) loading(d Dump, c Checker) postgres.Dump {
	t.progress.Begin("restoring its dump")
	t.progress.Bytes(d.size(), false)
	dump := d.Of(c)
	for i, table := range dump.Tables {
		dump.Tables[i].Rows = seekTo(t.progress, table.Rows)
	}
	return dump
}

// compare holds the rows of a database against those of the dump. With exact there is nothing else in it; newer is how many rows the dump does
// not have.
func (t trial) compare(ctx context.Context, server *postgres.Server, db string, rows look, d Dump, c Checker, want Count, exact bool) (newer int64, err error) {
	conn, err := pgx.Connect(ctx, server.ConnString(db))
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		t.progress.Versions(want.Versions, false)
		newer, err = compare(ctx, tx, rows, d, c, want, exact)
		return err
	})
	return newer, err
}

// restoreDump restores the dump into a database of its own and looks whether all of it has come there.
func (t trial) restoreDump(ctx context.Context, server *postgres.Server, c Checker, d Dump, want Count) error {
	if err := t.makeDatabase(ctx, server); err != nil {
		return err
	}
	if err := server.RestoreDump(ctx, t.loading(d, c), dumpDatabase); err != nil {
		return err
	}
	t.progress.Begin("looking for every version in it")
	_, err := t.compare(ctx, server, dumpDatabase, c.Rows, d, c, want, true) // opened it has in the base backup
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
