package backup

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// The streams of a backup, in their order. The dump comes first, so that its snapshot is held no longer than a dump takes;
// whatever it sees the base backup, which ends later, has too.
const (
	globalsStream = "globals.sql"
	dumpStream    = "dump.pgc"
	rowsStream    = "rows"
	baseStream    = "base.tar"
	configStream  = "config.tar"
)

// fill writes everything but the manifest into the archive.
func (r *run) fill(ctx context.Context, a *archive) (rows Count, err error) {
	server := r.Server
	if err := a.stream(globalsStream, func(w io.Writer) error { return server.DumpGlobals(ctx, w) }); err != nil {
		return rows, err
	}
	if rows, err = r.dump(ctx, a); err != nil {
		return rows, err
	}
	if err := r.reached("dumped"); err != nil {
		return rows, err
	}
	r.Progress.Begin("copying the database")
	r.Progress.Bytes(r.size, true)
	if err := a.stream(baseStream, func(w io.Writer) error { return server.StreamBaseBackup(ctx, writeTo(r.Progress, w)) }); err != nil {
		return rows, err
	}
	// After the copy: what this host knows to be on both hosts is then no less than what the copy has of it.
	files, err := r.Config()
	if err != nil {
		return rows, err
	}
	return rows, a.stream(configStream, func(w io.Writer) error { return tarFiles(w, files, a.at) })
}

// dump writes the dump and the list of rows, both of one snapshot.
func (r *run) dump(ctx context.Context, a *archive) (rows Count, err error) {
	conn, err := pgx.Connect(ctx, r.Server.ConnString(r.Database))
	if err != nil {
		return rows, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	tx, snapshot, err := exportSnapshot(ctx, conn)
	if err != nil {
		return rows, fmt.Errorf("taking a snapshot: %w", err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	r.Progress.Begin("dumping the database")
	r.Progress.Bytes(lengthOf(r.last, dumpStream), true)
	if err := a.stream(dumpStream, func(w io.Writer) error { return r.Server.Dump(ctx, writeTo(r.Progress, w), r.Database, snapshot) }); err != nil {
		return rows, err
	}
	r.Progress.Begin("listing every version")
	r.Progress.Versions(r.last.Rows.Versions, true)
	err = a.stream(rowsStream, func(w io.Writer) (err error) {
		rows, err = writeRows(ctx, w, counting{r.Checker, r.Progress}, tx)
		return err
	})
	return rows, err
}

// exportSnapshot begins a transaction that reads, and gives its snapshot to other sessions for as long as it lasts.
func exportSnapshot(ctx context.Context, conn *pgx.Conn) (tx pgx.Tx, snapshot string, err error) {
	tx, err = conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, "", err
	}
	// It stands idle while the dump is made.
	if _, err = tx.Exec(ctx, "set local idle_in_transaction_session_timeout = 0"); err == nil {
		err = tx.QueryRow(ctx, "select pg_export_snapshot()").Scan(&snapshot)
	}
	if err != nil {
		tx.Rollback(context.WithoutCancel(ctx))
		return nil, "", err
	}
	return tx, snapshot, nil
}

// tarFiles writes small files as a tar.
func tarFiles(w io.Writer, files map[string][]byte, at time.Time) error {
	t := tar.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		header := tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(files[name])), Mode: 0o600, ModTime: at, Format: tar.FormatPAX}
		if err := t.WriteHeader(&header); err != nil {
			return err
		}
		if _, err := t.Write(files[name]); err != nil {
			return err
		}
	}
	return t.Close()
}
