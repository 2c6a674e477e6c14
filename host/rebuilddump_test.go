package host

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"keytrustee/kms/seal"
	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
	"keytrustee/replication"
)

// late is a transaction that a new database comes to after a long time only.
const late postgres.XID = 3<<32 + 99

// dumps has a backup of l's active have a dump, and rows of a transaction of that number.
func (l *lostPair) dumps(a *activeHost) {
	t := l.T
	ctx := pgtest.Context(t)
	conn, err := pgx.Connect(ctx, a.server.ConnString(Database))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(ctx, "set synchronous_commit = local; create table done as select '"+late.String()+"'::xid8 as xid"); err != nil {
		t.Fatal(err)
	}
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		t.Fatal(err)
	}
	var snapshot string
	if err := tx.QueryRow(ctx, "select pg_export_snapshot()").Scan(&snapshot); err != nil {
		t.Fatal(err)
	}
	for name, dump := range map[string]func(*os.File) error{
		"globals.sql": func(f *os.File) error { return a.server.DumpGlobals(ctx, f) },
		"dump.pgc":    func(f *os.File) error { return a.server.Dump(ctx, f, Database, snapshot, "done") },
		"done.copy": func(f *os.File) error {
			_, err := postgres.CopyTable(ctx, conn, "done", f)
			return err
		},
	} {
		f, err := os.Create(filepath.Join(l.laid, name))
		if err == nil {
			err = errors.Join(dump(f), f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// dumpOptions are those that rebuild h from the dump.
func (l *lostPair) dumpOptions(h *Host) RebuildOptions {
	o := l.options(h)
	o.FromDump = true
	unpack := o.Unpack
	o.Unpack = func(ctx context.Context, dir string) (Backup, error) {
		b, err := unpack(ctx, dir)
		if err != nil {
			return b, err
		}
		var files []*os.File
		for _, name := range []string{"globals.sql", "dump.pgc", "done.copy"} {
			f, err := os.Open(filepath.Join(dir, name))
			if err != nil {
				return b, err
			}
			l.Cleanup(func() { f.Close() })
			files = append(files, f)
		}
		b.Dump = postgres.Dump{Globals: files[0], Rest: files[1], Tables: []postgres.TableDump{{Name: "done", Rows: files[2]}}}
		return b, nil
	}
	return o
}

// TestRebuildFromTheDump: with PostgreSQL of another major version the pair is made again out of the dump in its backup, in a database of its
// own, where nothing that was shown is hidden and no transaction is of two times. A passive of that version joins. It goes on after a crash at
// any point, and is given up as ever.
func TestRebuildFromTheDump(t *testing.T) {
	newer := pgtest.Newer(t)
	if pgtest.AsUser(t) {
		return
	}
	l := newLostPair(t, func(a *activeHost, l *lostPair) { l.dumps(a) })
	l.dump = true
	binDir, begun := pgtest.Watch(t, postgres.Installation{BinDir: filepath.Join(newer, "bin")})
	t.Setenv("PATH", binDir+":"+os.Getenv("PATH"))
	// A damaged base backup does not matter.
	pgtest.FlipByte(t, filepath.Join(l.laid, "data", "global", "1260"), 100)
	var all []string
	t.Run("whole, and a passive joins", func(t *testing.T) {
		h := bareHost(t, l.dead)
		o := l.dumpOptions(h)
		o.Confirm = ""
		looked, err := h.Rebuild(pgtest.Context(t), o)
		if err != nil || !strings.Contains(strings.Join(looked.Plan, "\n"), "PostgreSQL 15's data can not be started by 17: the keys come from the logical dump, into a new database of PostgreSQL 17.") {
			t.Fatalf("looking: %+v, %v", looked, err)
		}
		untouched(t, h)
		o.Confirm = "kt02 is powered off"
		all = points(t, h, func() error { _, err := h.Rebuild(pgtest.Context(t), o); return err })
		held(t, begun, h, "initdb", "postgres --single", "pg_resetwal")
		h.ClusterID = l.dead.ClusterID
		l.rebuilt(t, h, "kt02")
		l.goesOn(t, h)
		stopServer(t, h)
		a := &activeHost{Host: h}
		a.run(t)
		passive := newHost(t, "kt02", 2)
		if err := passive.joinWith(t, a, a.token(t)); err != nil {
			t.Fatal(err)
		}
		held(t, begun, passive, "pg_basebackup")
		joined(t, passive, a)
	})

	for n, point := range all {
		switch strings.TrimPrefix(point, rebuildOperation+": ") { // at the others it is what one from a base backup is
		case "new database", "dump restored", "transactions", "recovered":
		default:
			continue
		}
		t.Run("after a crash "+point, func(t *testing.T) {
			h, o := l.crashed(t, n, l.dumpOptions)
			if _, err := h.Rebuild(pgtest.Context(t), o); err != nil {
				t.Fatal(err)
			}
			h.ClusterID = l.dead.ClusterID
			l.rebuilt(t, h, "kt02")
			l.goesOn(t, h)
		})
	}

	for _, at := range []string{"new database", "dump restored"} {
		t.Run("aborted "+at, func(t *testing.T) {
			h := bareHost(t, l.dead)
			h.failpoint = func(point string) error {
				if point == rebuildOperation+": "+at {
					return errCrash
				}
				return nil
			}
			if _, err := h.Rebuild(pgtest.Context(t), l.dumpOptions(h)); !errors.Is(err, errCrash) {
				t.Fatal(err)
			}
			h.failpoint = nil
			if _, err := h.Abort(pgtest.Context(t), nil); err != nil {
				t.Fatal(err)
			}
			untouched(t, h)
		})
	}

	for name, tt := range map[string]struct {
		o    func(h *Host, o *RebuildOptions)
		says string
		hint string
	}{
		"what does not open": {func(*Host, *RebuildOptions) { l.check = errors.New("version payroll@2 does not open") }, "payroll@2", ""},
		"a dump that is cut": {func(_ *Host, o *RebuildOptions) {
			unpack := o.Unpack
			o.Unpack = func(ctx context.Context, dir string) (Backup, error) {
				b, err := unpack(ctx, dir)
				return b, errors.Join(err, os.Truncate(filepath.Join(dir, "dump.pgc"), 100))
			}
		}, "restoring the dump: pg_restore: ", ""},
		"the base backup, which is damaged": {func(_ *Host, o *RebuildOptions) { o.FromDump = false }, "differs from its manifest", "--from-dump"},
		"a dump of a later PostgreSQL": {func(_ *Host, o *RebuildOptions) {
			unpack := o.Unpack
			o.Unpack = func(ctx context.Context, dir string) (Backup, error) {
				b, err := unpack(ctx, dir)
				b.Major = 99
				return b, errors.Join(err, os.WriteFile(filepath.Join(dir, "dump.pgc"), []byte("PGDMP\x01\x63\x00\x04\x08\x01"), 0o600))
			}
		}, "can not use what PostgreSQL 99 has dumped", "install the package postgresql-99"},
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			h := bareHost(t, l.dead)
			o := l.dumpOptions(h)
			tt.o(h, &o)
			defer func() { l.check = nil }()
			_, err := h.Rebuild(pgtest.Context(t), o)
			if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(remedyOf(err), tt.hint) {
				t.Errorf("%v (hint %q), want %q", err, remedyOf(err), tt.says)
			}
			if have, _ := exists(h.StateFile()); have {
				t.Error("there is a state file")
			}
			if _, _, err := h.RunDB(t.Context()); err == nil {
				t.Error("it can be started")
			}
			if j, err := h.Journal(); err != nil {
				t.Error(err)
			} else if j != nil {
				if _, err := h.Abort(pgtest.Context(t), nil); err != nil {
					t.Fatal(err)
				}
			}
			untouched(t, h)
		})
	}
}

// goesOn checks that the database of h, which runs, has what was dumped, shows all of it, and gives no number of a transaction twice.
func (l *lostPair) goesOn(t *testing.T, h *Host) {
	t.Helper()
	server := mustServer(t, h)
	if server.Version.Major == l.backup.Major {
		t.Errorf("it runs with PostgreSQL %s", server.Version)
	}
	if n := ask[int](t, server, Database, "select n from written"); n != 7 {
		t.Error("what was written is not there")
	}
	s := stateOf(t, h.StateFile())
	if !s.Confirmed.Snapshot.Sees(late) || s.Confirmed.Position == 0 || !strings.Contains(s.Outcome.Sentence, "restored from the dump in the backup of kt01") {
		t.Errorf("what it may show is %+v, %+v", s.Confirmed, s.Outcome)
	}
	if now, err := postgres.ParseXID(ask[string](t, server, Database, "select pg_snapshot_xmax(pg_current_snapshot())::text")); err != nil || now <= late {
		t.Errorf("its next transaction is %s, %v, and rows are of %s", now, err, late)
	}
	if got := ask[string](t, server, controlDatabase, "select string_agg(name, ' ' order by name) from control.boxes"); !strings.Contains(got, authorityBox) || !strings.Contains(got, cookieBox) {
		t.Errorf("the boxes in the database are %q", got)
	}
	if got := ask[string](t, server, Database, "select current_setting('synchronous_commit') || ' ' || current_setting('data_checksums')"); got != "remote_apply on" {
		t.Errorf("it is set to %s", got)
	}
}

// TestLookBeforeADump: what only the database of a backup knows is not in its dump.
func TestLookBeforeADump(t *testing.T) {
	lost, b, recovery := laidOut(t)
	key, err := seal.ParseRecovery(recovery)
	if err != nil {
		t.Fatal(err)
	}
	confdir := filepath.Join(b.Config, filepath.Base(lost.Confdir))
	wraps, err := seal.ReadWraps(confdir)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range wraps {
		if w.Recipient == key.Public().Fingerprint() {
			if err := os.Remove(seal.WrapPath(confdir, w)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, from := range []string{"", "PostgreSQL 15's data can not be started by 17"} {
		r := &rebuild{Host: bareHost(t, lost), backup: b, fromDump: from, o: RebuildOptions{Recovery: recovery}}
		r.backup.Major = 15
		if err := r.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		bad := map[bool]replication.Finding{}
		for _, f := range r.looked.Findings {
			if strings.Contains(f.What, "recovery key") {
				bad[f.OK] = f
			}
		}
		if f, against := bad[false]; against != (from != "") || against && !strings.Contains(f.Hint, "install PostgreSQL 15") {
			t.Errorf("from %q: %+v", from, r.looked.Findings)
		}
	}
}
