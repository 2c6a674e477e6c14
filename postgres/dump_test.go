package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// TestDumpIntoAnotherMajor: a later major version takes what an earlier one has dumped, with its roles, and goes on with transactions that are
// later than all that were dumped. An earlier one says that it can not.
func TestDumpIntoAnotherMajor(t *testing.T) {
	newer := pgtest.Newer(t)
	if pgtest.AsUser(t) {
		return
	}
	ctx := pgtest.Context(t)
	from := pgtest.New(t, pgtest.Options{})
	prepare(t, from)
	const late = 5<<32 + 77
	exec(t, from, `CREATE ROLE "aud itor"; GRANT SELECT ON k TO "aud itor"; ALTER ROLE "aud itor" SET work_mem = '8MB'`)
	exec(t, from, `CREATE TABLE done (id int, "the Xid" xid8, none xid8); INSERT INTO done VALUES (1, '5'), (2, '`+postgres.XID(late).String()+`'), (3, NULL)`)
	var globals bytes.Buffer
	if err := from.DumpGlobals(ctx, &globals); err != nil {
		t.Fatal(err)
	}
	dump := snapshotDump(t, from, func() { exec(t, from, `INSERT INTO k VALUES (7)`) })

	t.Setenv("PATH", filepath.Join(newer, "bin")+":"+os.Getenv("PATH"))
	major := from.Version.Major
	later, why, err := postgres.FindForBackup(ctx, 99, false)
	if err != nil || later.Version.Major <= major || why != "PostgreSQL 99's data can not be started by 17" {
		t.Fatalf("for another major version: %+v, %q, %v", later, why, err)
	}
	for _, tt := range []struct {
		major int
		dump  bool
		want  postgres.Installation
		why   string
	}{
		{major, false, from.Installation, ""},
		{major, true, later, "PostgreSQL 15's data can not be started by 17"},
		{later.Version.Major, false, later, ""},
		{later.Version.Major, true, later, "it was asked for"},
	} {
		if got, why, err := postgres.FindForBackup(ctx, tt.major, tt.dump); err != nil || got != tt.want || why != tt.why {
			t.Errorf("for a backup of %d, %v: %+v, %q, %v", tt.major, tt.dump, got, why, err)
		}
	}

	dir := pgtest.Dir(t)
	into, err := postgres.Throwaway(later, dir, filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := into.Stop(context.Background(), postgres.Immediate); err != nil {
			t.Error(err)
		}
	})
	if err := os.Mkdir(into.Data, 0o700); err != nil { // what was unpacked there goes
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(into.Data, "PG_VERSION"), []byte("15\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := into.StartEmptyThrowaway(ctx); err != nil {
		t.Fatal(err)
	}
	broken := strings.Replace(globals.String(), "ALTER ROLE", "CREATE ROLE half;\nALTRE ROLE", 1)
	dump.Globals = strings.NewReader(broken)
	if err := into.LoadDump(ctx, dump, "postgres", major); err == nil || !strings.Contains(err.Error(), "making the roles: ") {
		t.Errorf("with roles that are none: %v", err)
	}
	if query[bool](t, into, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = 'half') OR to_regclass('k') IS NOT NULL`) {
		t.Error("half of it is there")
	}
	dump.Globals = strings.NewReader("\\restrict secret\n" + globals.String() + "\\unrestrict secret\n")
	if err := into.LoadDump(ctx, dump, "postgres", major); err != nil {
		t.Fatal(err)
	}
	if got := query[string](t, into, `SELECT string_agg(rolname || ' ' || coalesce(rolconfig::text, '-'), ', ' ORDER BY rolname) FROM pg_roles WHERE rolname !~ '^pg_'`); got != "aud itor {work_mem=8MB}, ktrepl -, ktsuper -" {
		t.Errorf("the roles are %q", got)
	}
	if !query[bool](t, into, `SELECT has_table_privilege('aud itor', 'k', 'SELECT') AND NOT EXISTS (SELECT FROM k WHERE id = 7)`) {
		t.Error("it is not what was dumped")
	}

	conn, err := pgx.Connect(ctx, into.ConnString("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	newest, err := postgres.NewestXID(ctx, conn)
	if err != nil || newest != late {
		t.Errorf("the newest transaction is %s, %v, want %d", newest, err, uint64(late))
	}
	if err := into.SkipXIDs(ctx, newest); err == nil || !strings.Contains(err.Error(), "PostgreSQL runs") {
		t.Errorf("while it runs: %v", err)
	}
	exec(t, into, `CHECKPOINT`) // a throw-away server keeps no commit by itself
	stop(t, into, postgres.Immediate)
	if err := into.SkipXIDs(ctx, newest); err == nil || !strings.Contains(err.Error(), "pg_resetwal: ") {
		t.Errorf("after it was killed: %v", err)
	}
	if err := into.Start(ctx); err != nil {
		t.Fatal(err)
	}
	stop(t, into, postgres.Fast)
	if err := into.SkipXIDs(ctx, newest); err != nil {
		t.Fatal(err)
	}
	if err := into.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if !query[bool](t, into, `SELECT bool_and("the Xid" IS NULL OR pg_visible_in_snapshot("the Xid", pg_current_snapshot())) FROM done`) {
		t.Error("what was restored is of transactions that are yet to come")
	}
	exec(t, into, `VACUUM FREEZE`)
	exec(t, into, `INSERT INTO k VALUES (8)`)

	t.Run("an earlier one", func(t *testing.T) {
		dump := snapshotDump(t, into, func() { exec(t, into, `INSERT INTO k VALUES (9)`) })
		for name, err := range map[string]error{
			"reading":   from.CheckDump(ctx, dump, later.Version.Major),
			"restoring": from.LoadDump(ctx, dump, "postgres", later.Version.Major),
		} {
			setup, ok := errors.AsType[*postgres.SetupError](err)
			if !ok || !strings.Contains(setup.Problem, "can not use what PostgreSQL 17 has dumped") || !strings.Contains(setup.Remedy, "postgresql-17") {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, major := range []int{later.Version.Major, later.Version.Major + 1} {
			if err := into.CheckDump(ctx, dump, major); err != nil {
				t.Errorf("of %d: %v", major, err)
			}
		}
	})
}
