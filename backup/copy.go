package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"keytrustee/postgres"
)

// The streams of a backup, in their order, behind the copies of the tables. These are first, so that their snapshot is held no longer than it
// takes; whatever it sees the base backup, which ends later, has too.
const (
	globalsStream = "globals.sql"
	dumpStream    = "dump.pgc"
	baseStream    = "base.tar"
	configStream  = "config.tar"
)

// copyStream has the rows of that kind.
func copyStream(k Kind) string { return k.String() + "s.copy" }

// fill writes everything but the manifest into the archive.
func (r *run) fill(ctx context.Context, a *archive) (rows Count, err error) {
	server := r.Server
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

// dump writes the rows of the tables, then the roles and the rest of the database, all of one snapshot but the roles. It is read once: the rows
// that the dump has are the list of what the base backup has to have.
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
	r.Progress.Bytes(dumped(r.last), true)
	tables := r.Checker.Tables()
	var globals, rest bytes.Buffer // both are small, and their programs begin slowly
	g, together := errgroup.WithContext(ctx)
	g.Go(func() error { return r.Server.DumpGlobals(together, &globals) })
	g.Go(func() error { return r.Server.Dump(together, &rest, r.Database, snapshot, tables[:]...) })
	g.Go(func() (err error) { rows, err = r.copyTables(together, a, conn); return err })
	if err := g.Wait(); err != nil {
		return rows, err
	}
	for _, s := range []struct {
		name    string
		content *bytes.Buffer
	}{{globalsStream, &globals}, {dumpStream, &rest}} {
		if err := a.stream(s.name, func(w io.Writer) error { _, err := s.content.WriteTo(w); return err }); err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// copyTables writes the rows of the tables as the transaction of conn sees them, and counts those that were not purged.
func (r *run) copyTables(ctx context.Context, a *archive, conn *pgx.Conn) (rows Count, err error) {
	tables := r.Checker.Tables()
	for i, k := range kinds {
		if err := a.stream(copyStream(k), func(w io.Writer) error {
			n, err := postgres.CopyTable(ctx, conn, tables[i], writeTo(r.Progress, r.paced(ctx, w)))
			*rows.of(k) = n
			return err
		}); err != nil {
			return rows, err
		}
	}
	purged, err := r.Checker.Purged(ctx, conn)
	if err != nil {
		return rows, fmt.Errorf("counting what was purged: %w", err)
	}
	for _, k := range kinds {
		*rows.of(k) -= *purged.of(k)
	}
	return rows, nil
}

// The pace of a copy, in bytes a second: a session of PostgreSQL makes about 200 MB in one. What sends a table holds locks of pages, which the
// replay of the log and requests want, so it does not yield, and works for a moment at a time instead.
const (
	pace     = 32 << 20
	paceStep = 64 << 10
)

func (r *run) paced(ctx context.Context, w io.Writer) io.Writer {
	if !r.Paced {
		return w
	}
	return &pacedWriter{ctx, w, rate.NewLimiter(pace, paceStep)}
}

// pacedWriter lets no more through than its limiter.
type pacedWriter struct {
	ctx   context.Context
	w     io.Writer
	limit *rate.Limiter
}

func (p *pacedWriter) Write(b []byte) (n int, err error) {
	for part := range slices.Chunk(b, paceStep) {
		if err := p.limit.WaitN(p.ctx, len(part)); err != nil {
			return n, err
		}
		m, err := p.w.Write(part)
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// dumped is how long the copies of a backup are.
func dumped(r Receipt) (n int64) {
	for _, k := range kinds {
		n += lengthOf(r, copyStream(k))
	}
	return n
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
