package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// TestStreams: what a primary and a standby stream is a whole base backup, from which a throw-away server starts, and the
// dump of a snapshot is what the snapshot saw. Nothing of it stays on the source.
func TestStreams(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	primary := pgtest.New(t, pgtest.Options{})
	prepare(t, primary)
	exec(t, primary, `INSERT INTO k VALUES (1)`)
	standby := pgtest.Clone(t, primary, "kt_standby", pgtest.Options{})
	for name, s := range map[string]*postgres.Server{"primary": primary, "standby": standby} {
		t.Run(name, func(t *testing.T) {
			ctx := pgtest.Context(t)
			dir := pgtest.Dir(t)
			throwaway, err := postgres.Throwaway(s.Installation, dir, filepath.Join(dir, "socket"))
			if err != nil {
				t.Fatal(err)
			}

			dump := snapshotDump(t, s, func() {
				exec(t, primary, `INSERT INTO k SELECT max(id) + 1 FROM k`) // which the snapshot does not see
			})
			untar(t, throwaway.Data, func(w *osexec.Cmd) error {
				in, err := w.StdinPipe()
				if err != nil {
					return err
				}
				if err := w.Start(); err != nil {
					return err
				}
				return errors.Join(s.StreamBaseBackup(ctx, in), in.Close(), w.Wait())
			})
			if n := query[int](t, s, `SELECT count(*) FROM pg_replication_slots WHERE starts_with(slot_name, 'backup_')`); n != 0 {
				t.Errorf("%d slots are left", n)
			}
			if err := postgres.VerifyBackup(ctx, s.Installation, throwaway.Data, nil); err != nil {
				t.Fatal(err)
			}
			start, end, timeline, err := postgres.BackupRange(throwaway.Data)
			if err != nil || start == 0 || end <= start || timeline != 1 {
				t.Errorf("the backup is from %s to %s on timeline %s, %v", start, end, timeline, err)
			}

			t.Cleanup(func() {
				if err := throwaway.Stop(context.Background(), postgres.Immediate); err != nil {
					t.Error(err)
				}
			})
			if err := throwaway.StartThrowaway(ctx); err != nil {
				t.Fatal(err)
			}
			if query[bool](t, throwaway, `SELECT pg_is_in_recovery()`) {
				t.Error("it recovers still")
			}
			if got := query[string](t, throwaway, `SELECT current_setting('listen_addresses')`); got != "" {
				t.Errorf("it listens at %s", got)
			}
			all := query[int](t, throwaway, `SELECT count(*) FROM k`)
			exec(t, throwaway, `CREATE DATABASE copy TEMPLATE template0`)
			if err := throwaway.RestoreDump(ctx, dump, "copy"); err != nil {
				t.Fatal(err)
			}
			conn, err := pgx.Connect(ctx, throwaway.ConnString("copy"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(context.Background())
			var dumped int
			if err := conn.QueryRow(ctx, `SELECT count(*) FROM k`).Scan(&dumped); err != nil || dumped != all-1 {
				t.Errorf("the dump has %d rows, %v, and the base backup %d", dumped, err, all)
			}
			half := dump
			half.Rest = io.NewSectionReader(dump.Rest.(io.ReaderAt), 0, 300)
			if err := throwaway.RestoreDump(ctx, half, "postgres"); err == nil || !strings.HasPrefix(err.Error(), "pg_restore: ") {
				t.Errorf("half a dump: %v", err)
			}
			exec(t, throwaway, `CREATE DATABASE part TEMPLATE template0`)
			half = dump
			half.Tables = []postgres.TableDump{{Name: "k", Rows: io.NewSectionReader(dump.Tables[0].Rows.(io.ReaderAt), 0, 25)}}
			if err := throwaway.RestoreDump(ctx, half, "part"); err == nil || !strings.HasPrefix(err.Error(), "loading the table k: ") {
				t.Errorf("half a table: %v", err)
			}
		})
	}

	t.Run("globals", func(t *testing.T) {
		exec(t, primary, `ALTER ROLE `+postgres.Replicator+` PASSWORD 'a word to keep'`)
		var sql bytes.Buffer
		if err := primary.DumpGlobals(pgtest.Context(t), &sql); err != nil {
			t.Fatal(err)
		}
		if text := sql.String(); !strings.Contains(text, "CREATE ROLE "+postgres.Replicator) || strings.Contains(text, "PASSWORD") || strings.Contains(text, "SCRAM") {
			t.Errorf("the roles are\n%s", text)
		}
	})
	t.Run("nobody who reads it", func(t *testing.T) {
		err := primary.StreamBaseBackup(pgtest.Context(t), failing{})
		if err == nil {
			t.Error("it was streamed to nobody")
		}
		if n := query[int](t, primary, `SELECT count(*) FROM pg_replication_slots WHERE starts_with(slot_name, 'backup_')`); n != 0 {
			t.Errorf("%d slots are left", n)
		}
	})
	t.Run("a page is damaged", func(t *testing.T) {
		ctx := pgtest.Context(t)
		file := query[string](t, primary, `SELECT pg_relation_filepath('k')`)
		if err := primary.Stop(ctx, postgres.Fast); err != nil {
			t.Fatal(err)
		}
		pgtest.FlipByte(t, filepath.Join(primary.Data, file), 5000)
		pgtest.Start(t, primary)
		conn, err := pgx.Connect(ctx, primary.ConnString("postgres"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
		if err != nil {
			t.Fatal(err)
		}
		var snapshot string
		if err := tx.QueryRow(ctx, `SELECT pg_export_snapshot()`).Scan(&snapshot); err != nil {
			t.Fatal(err)
		}
		for what, err := range map[string]error{
			"dump":   primary.Dump(ctx, io.Discard, "postgres", snapshot),
			"table":  copyTable(t, conn, "k"),
			"stream": primary.StreamBaseBackup(ctx, io.Discard),
			"copy":   postgres.BaseBackup(ctx, primary.Installation, postgres.BaseBackupOptions{ConnString: primary.ConnString("postgres"), Target: filepath.Join(pgtest.Dir(t), "copy")}, nil),
		} {
			e, ok := errors.AsType[*postgres.PagesError](err)
			if !ok || !slices.Equal(e.Pages, []postgres.Page{{File: file, Block: 0}}) || !strings.Contains(err.Error(), file+", block 0") {
				t.Errorf("%s: %v", what, err)
			}
		}

		ended, end := context.WithCancel(ctx)
		defer end()
		err = primary.StreamBaseBackup(ended, until{"global/pg_control", end}) // the last file but for the log
		if e, ok := errors.AsType[*postgres.PagesError](err); !ok || !slices.Equal(e.Pages, []postgres.Page{{File: file, Block: 0}}) || !errors.Is(err, context.Canceled) {
			t.Errorf("broken off after the page: %v", err)
		}
	})
}

// until calls then when it is given that text.
type until struct {
	text string
	then func()
}

func (u until) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(u.text)) {
		u.then()
	}
	return len(p), nil
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("no more") }

// snapshotDump dumps what a snapshot sees, the rows of k apart and without the roles; meanwhile happens after it was taken.
func snapshotDump(t *testing.T, s *postgres.Server, meanwhile func()) postgres.Dump {
	t.Helper()
	ctx := pgtest.Context(t)
	conn, err := pgx.Connect(ctx, s.ConnString("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		t.Fatal(err)
	}
	var snapshot string
	if err := tx.QueryRow(ctx, `SELECT pg_export_snapshot()`).Scan(&snapshot); err != nil {
		t.Fatal(err)
	}
	before := query[int](t, s, `SELECT count(*) FROM k`)
	meanwhile()
	pgtest.Await(t, "the newer row is there", func() bool { return query[int](t, s, `SELECT count(*) FROM k`) == before+1 })
	var rest, rows bytes.Buffer
	if err := s.Dump(ctx, &rest, "postgres", snapshot, "k"); err != nil {
		t.Fatal(err)
	}
	if n, err := postgres.CopyTable(ctx, conn, "k", &rows); err != nil || n != int64(before) {
		t.Fatalf("%d rows of %d, %v", n, before, err)
	}
	return postgres.Dump{
		Globals: strings.NewReader(""), Rest: bytes.NewReader(rest.Bytes()),
		Tables: []postgres.TableDump{{Name: "k", Rows: bytes.NewReader(rows.Bytes())}},
	}
}

// copyTable copies a table in the transaction of conn, to nobody.
func copyTable(t *testing.T, conn *pgx.Conn, table string) error {
	t.Helper()
	_, err := postgres.CopyTable(pgtest.Context(t), conn, table, io.Discard)
	return err
}

// untar unpacks what fill sends to tar.
func untar(t *testing.T, dir string, fill func(*osexec.Cmd) error) {
	t.Helper()
	if out, err := osexec.Command("mkdir", "-m", "0700", dir).CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	cmd := osexec.Command("tar", "-x", "-C", dir)
	cmd.Stderr = t.Output()
	if err := fill(cmd); err != nil {
		t.Fatal(err)
	}
}
