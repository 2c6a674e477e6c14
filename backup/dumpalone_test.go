package backup

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// TestRestoreTestOfTheDump: a PostgreSQL of another major version proves a backup by its dump, opens what the dump brings, and says so; what
// the base backup has beside it counts for nothing. It fails as the test of both does, and nothing is left.
func TestRestoreTestOfTheDump(t *testing.T) {
	newer := pgtest.Newer(t)
	if pgtest.AsUser(t) {
		return
	}
	s := newSite(t)
	s.point = func(point string) error {
		if point == "dumped" {
			sql(t, s.Server, `insert into thing values ('00000000-0000-4000-8000-000000000000', 'sealed later')`)
		}
		return nil
	}
	r := s.mustCreate(t)
	file := File(s.Directory, r.Name)
	t.Setenv("PATH", filepath.Join(newer, "bin")+":"+os.Getenv("PATH"))
	options := func(do func(r *Row, open bool) error) TestOptions {
		o := mustTestOptions(t, file, text(s.identities[0]))
		o.FromDump = true
		o.Keys = func(string, Manifest) (Checker, error) { return damaging{do: do}, nil }
		return o
	}
	opened := 0
	o := options(func(_ *Row, open bool) error {
		if open {
			opened++
		}
		return nil
	})
	o.point = func(point string) error {
		if point == "unpacked" {
			pgtest.FlipByte(t, filepath.Join(o.Directory, workDir, DataDir, "global", "1260"), 100)
		}
		return nil
	}
	got, err := RestoreTest(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if got.Rows != r.Rows || got.Newer != 0 || !strings.HasPrefix(got.PostgreSQL, "17.") || got.DumpAlone != "PostgreSQL 15's data can not be started by 17" || opened != 2 {
		t.Errorf("%+v, %d versions were opened", got, opened)
	}
	empty(t, o)

	for name, tt := range map[string]struct {
		do    func(r *Row, open bool) error
		point func(work string) error
		want  string
	}{
		"a version that does not open": {do: func(r *Row, open bool) error {
			if open && r.ID[15] == 0x02 {
				return errors.New("version payroll@2 does not open")
			}
			return nil
		}, want: "its dump: version payroll@2 does not open"},
		"a row is another than it was": {do: func(r *Row, open bool) error {
			if open {
				r.Sum[0] ^= 1
			}
			return nil
		}, want: "is not what it was"},
		"fewer rows than the backup says": {point: func(work string) error {
			return os.WriteFile(filepath.Join(work, "versions.copy"), copyOfThings(1), 0o600)
		}, want: "its trailer says"},
		"a copy of a table is cut off": {point: func(work string) error {
			return os.WriteFile(filepath.Join(work, "versions.copy"), copyOfThings(1, 2)[:70], 0o600)
		}, want: "its dump: loading the table thing"},
		"no roles": {point: func(work string) error {
			return os.WriteFile(filepath.Join(work, globalsStream), []byte("nonsense;"), 0o600)
		}, want: "its dump: making the roles"},
		"no dump": {point: func(work string) error { return os.Truncate(filepath.Join(work, dumpStream), 10) }, want: "its dump: pg_restore"},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.do == nil {
				tt.do = func(*Row, bool) error { return nil }
			}
			o := options(tt.do)
			o.point = func(point string) error {
				if point == "unpacked" && tt.point != nil {
					return tt.point(filepath.Join(o.Directory, workDir))
				}
				return nil
			}
			_, err := RestoreTest(t.Context(), o)
			if _, ok := errors.AsType[*FailedTestError](err); !ok || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			empty(t, o)
		})
	}

	t.Run("an earlier version of PostgreSQL", func(t *testing.T) {
		o := options(func(*Row, bool) error { return nil })
		root, err := os.OpenRoot(pgtest.Dir(t))
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		dir := filepath.Join(root.Name(), workDir)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		_, err = Unpack(t.Context(), o.File, o.Identities, o.Origin, filepath.Join(dir, "unpacked"), nil)
		for _, name := range []string{dumpStream, globalsStream, "changes.copy", "keys.copy", "versions.copy"} {
			err = errors.Join(err, os.Rename(filepath.Join(dir, "unpacked", name), filepath.Join(dir, name)))
		}
		if err != nil {
			t.Fatal(err)
		}
		s.hasMoreThanTheDump(t, dir, r.Rows)
		if err := os.WriteFile(filepath.Join(dir, dumpStream), []byte("PGDMP\x01\x63\x00\x04\x08\x01"), 0o600); err != nil { // of a format that is yet to come
			t.Fatal(err)
		}
		tr := trial{root: root, directory: root.Name(), work: workDir, socket: filepath.Join(dir, "s"), installation: s.Server.Installation, why: "it is", major: 99, progress: nobody{}, reached: func(string) error { return nil }}
		_, err = tr.restore(t.Context(), things{}, r.Rows)
		if setup, ok := errors.AsType[*postgres.SetupError](err); !ok || !strings.Contains(setup.Remedy, "postgresql-99") {
			t.Errorf("error %v", err)
		}
		if _, err := os.Stat(filepath.Join(dir, DataDir)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a server was made for it: %v", err)
		}
	})
}

// hasMoreThanTheDump checks that the database, which has a row that the dump in dir does not have, is none that was restored from that; and that
// what was is opened.
func (s *site) hasMoreThanTheDump(t *testing.T, dir string, want Count) {
	t.Helper()
	conn, err := pgx.Connect(pgtest.Context(t), s.Server.ConnString("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	compare := func(c Checker) error {
		d, err := OpenDump(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		return CompareDump(pgtest.Context(t), conn, c, d, want, nil)
	}
	if err := compare(things{}); err == nil || !strings.Contains(err.Error(), "version 00000000-0000-4000-8000-000000000000 was not there") {
		t.Errorf("with a row that was not dumped: %v", err)
	}
	sql(t, s.Server, `delete from thing where id = '00000000-0000-4000-8000-000000000000'`)
	if err := compare(things{}); err != nil {
		t.Errorf("with what was dumped: %v", err)
	}
	no := errors.New("does not open")
	err = compare(damaging{do: func(_ *Row, open bool) error {
		if open {
			return no
		}
		return nil
	}})
	if !errors.Is(err, no) {
		t.Errorf("with what does not open: %v", err)
	}
}
