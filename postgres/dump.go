package postgres

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// FindForBackup returns the installation to restore a backup with that PostgreSQL of that major version has made: the same major version,
// which starts its base backup. Where there is none, or dump asks for it, it is the newest, and why says that, and why, the backup's logical
// dump is taken instead; empty otherwise.
func FindForBackup(ctx context.Context, major int, dump bool) (inst Installation, why string, err error) {
	if !dump {
		if inst, err = FindMajor(ctx, "the backup", major); err == nil {
			return inst, "", nil
		} else if _, none := errors.AsType[*SetupError](err); !none {
			return inst, "", err
		}
	}
	newest, ferr := Find(ctx)
	switch {
	case ferr != nil && err != nil: // it says which one is wanted
		return inst, "", err
	case ferr != nil:
		return inst, "", ferr
	case newest.Version.Major != major:
		why = fmt.Sprintf("PostgreSQL %d's data can not be started by %d", major, newest.Version.Major)
	default:
		why = "it was asked for"
	}
	return newest, why, nil
}

// Dump is a logical dump of a database: what DumpGlobals, Server.Dump and CopyTable wrote. Each part is read from its beginning.
type Dump struct {
	Globals io.ReadSeeker
	Rest    io.ReadSeeker // all but the rows of Tables
	Tables  []TableDump
}

// TableDump has the rows of one table of the schema public.
type TableDump struct {
	Name string
	Rows io.ReadSeeker
}

// CheckDump returns a *SetupError if the installation can not read what Server.Dump of that major version wrote: of a later one it may know
// nothing.
func (i Installation) CheckDump(ctx context.Context, d Dump, major int) error {
	if i.Version.Major >= major {
		return nil
	}
	s := Server{Installation: i}
	if err := s.restore(ctx, d, "--list"); err != nil {
		if ctx.Err() != nil {
			return err
		}
		return i.tooOld(major, err)
	}
	return nil
}

// tooOld says that a dump of a later major version could not be used, if it is one.
func (i Installation) tooOld(major int, err error) error {
	return &SetupError{Problem: fmt.Sprintf("PostgreSQL %s can not use what PostgreSQL %d has dumped", i.Version, major), Err: err, Remedy: packages(major)}
}

// LoadDump puts a dump of a server of that major version into the running server, and into a database of it that is empty. After an error there
// may be a part of it; a *SetupError means that the installation is too old for it.
func (s *Server) LoadDump(ctx context.Context, d Dump, db string, major int) error {
	err := s.restoreGlobals(ctx, d.Globals)
	if err == nil {
		err = s.RestoreDump(ctx, d, db)
	}
	if err != nil && ctx.Err() == nil && s.Version.Major < major {
		return s.tooOld(major, err)
	}
	return err
}

// RestoreDump puts a dump, without its roles, into a database that is empty. After an error there may be a part of it.
func (s *Server) RestoreDump(ctx context.Context, d Dump, db string) error {
	into := []string{"-d", s.ConnString(db), "--exit-on-error", "--single-transaction", "--no-password"}
	if err := s.restore(ctx, d, append(into, "--section=pre-data", "--section=data")...); err != nil {
		return err
	}
	if err := s.loadTables(ctx, d.Tables, db); err != nil {
		return err
	}
	return s.restore(ctx, d, append(into, "--section=post-data")...) // what the rows are looked up by, and what they have to fit
}

// restore has pg_restore read the dump without the rows of its tables.
func (s *Server) restore(ctx context.Context, d Dump, args ...string) error {
	if _, err := d.Rest.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return s.pipe(ctx, d.Rest, nil, "pg_restore", args...)
}

func (s *Server) loadTables(ctx context.Context, tables []TableDump, db string) error {
	conn, err := pgx.Connect(ctx, s.ConnString(db))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for _, t := range tables {
			if _, err := t.Rows.Seek(0, io.SeekStart); err != nil {
				return err
			}
			if err := loadTable(ctx, tx.Conn().PgConn(), t.Name, t.Rows); err != nil {
				return err
			}
		}
		return nil
	})
}

// restoreGlobals makes the roles that are not made by Init, all of them or none.
func (s *Server) restoreGlobals(ctx context.Context, globals io.ReadSeeker) error {
	if _, err := globals.Seek(0, io.SeekStart); err != nil {
		return err
	}
	var sql strings.Builder
	lines := bufio.NewScanner(globals)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, `\`) || slices.Contains(made, line) { // a command of psql's, such as \restrict, is none of the server's
			continue
		}
		sql.WriteString(line + "\n")
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading the roles: %w", err)
	}
	conn, err := pgx.Connect(ctx, s.ConnString("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.PgConn().Exec(ctx, sql.String()).ReadAll(); err != nil { // several statements, one transaction
		return fmt.Errorf("making the roles: %w", err)
	}
	return nil
}

// made are the lines of DumpGlobals that make what Init has made.
var made = []string{"CREATE ROLE " + Superuser + ";", "CREATE ROLE " + Replicator + ";"}

// NewestXID is the highest transaction number that a row names, in whichever table of the database that conn is connected to; zero if none does.
func NewestXID(ctx context.Context, conn *pgx.Conn) (newest XID, err error) {
	rows, err := conn.Query(ctx, `select format('select coalesce((select %I from %I.%I where %I is not null order by %I desc limit 1), ''0'')::text', attname, nspname, relname, attname, attname)
		from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
		where atttypid = 'xid8'::regtype and relkind in ('r', 'p') and not attisdropped and nspname not in ('pg_catalog', 'information_schema')`)
	if err != nil {
		return 0, err
	}
	columns, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return 0, err
	}
	for _, sql := range columns {
		var text string
		if err := conn.QueryRow(ctx, sql).Scan(&text); err != nil {
			return 0, err
		}
		x, err := ParseXID(text)
		if err != nil {
			return 0, err
		}
		newest = max(newest, x)
	}
	return newest, nil
}

// SkipXIDs makes every transaction from the next start on have a number above beyond. The server is stopped, and was not killed. Only the
// upper half of the number is changed, which the data of the server does not know: rows and pg_xact stay right.
func (s *Server) SkipXIDs(ctx context.Context, beyond XID) error {
	if err := s.RunAs.Check(); err != nil {
		return err
	}
	if pid, running := s.Pid(); running {
		return fmt.Errorf("setting the next transaction of %s: PostgreSQL runs, as process %d", s.Data, pid)
	}
	if _, err := os.Stat(s.Data); err != nil {
		return err
	}
	epoch := uint64(beyond)>>32 + 1
	reset := s.RunAs.command(ctx, s.Path("pg_resetwal"), "--epoch="+strconv.FormatUint(epoch, 10), s.Data)
	if _, err := run(ctx, holding(s.Lock, reset)); err != nil {
		return fmt.Errorf("setting the next transaction of %s: %w", s.Data, err)
	}
	return nil
}
