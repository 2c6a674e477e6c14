package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// TestCreate: on a primary and on its standby a backup is made, proven and listed, and what a recipient's identity opens is
// what the receipt says, with ordinary tools.
func TestCreate(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	primary := newSite(t)
	standby := siteOf(t, pgtest.Clone(t, primary.Server, "kt_standby", pgtest.Options{}))
	for name, s := range map[string]*site{"primary": primary, "standby": standby} {
		t.Run(name, func(t *testing.T) {
			said := new(listener)
			s.Progress = said
			r := s.mustCreate(t)
			said.heard(t, append([]string{"dumping the database", "copying the database", "reading the backup back"}, trialPhases...)...)
			if p := said.of(t, "copying the database"); !p.about || p.total < 1<<20 || p.done != lengthOf(r, baseStream) {
				t.Errorf("copying: %+v", p)
			}
			if p := said.of(t, "opening every version"); p.in != "versions" || p.total != 2 {
				t.Errorf("opening: %+v", p)
			}
			s.holds(t, files(r)...)
			listed := s.lists(t, r.Name)
			if diff := cmp.Diff([]Receipt{r}, listed.Backups); diff != "" {
				t.Errorf("listed (-made +listed):\n%s", diff)
			}
			if r.Rows != (Count{Versions: 2}) || r.Newer != 0 || r.Start.LSN == 0 || r.End.LSN <= r.Start.LSN {
				t.Errorf("the receipt %+v", r)
			}
			for i, identity := range s.identities {
				s.openedByHand(t, r, identity, i == 0)
			}
			stranger, err := age.GenerateX25519Identity()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := decrypt(filepath.Join(s.Directory, r.Name+fileSuffix), stranger); err == nil {
				t.Error("a stranger's identity opens it")
			}
			if n := stanzas(t, filepath.Join(s.Directory, r.Name+fileSuffix)); n != 3 {
				t.Errorf("%d can read it, want two and the run itself", n)
			}
		})
	}
}

func decrypt(path string, identity age.Identity) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	plain, err := age.Decrypt(f, identity)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(plain)
}

// stanzas counts for whom an age file is.
func stanzas(t *testing.T, path string) int {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	header, _, _ := bytes.Cut(content, []byte("\n---"))
	return bytes.Count(header, []byte("\n-> X25519 "))
}

// openedByHand opens a backup as docs/backup-format.md says, and holds each stream against the receipt.
func (s *site) openedByHand(t *testing.T, r Receipt, identity age.Identity, restore bool) {
	t.Helper()
	plain, err := decrypt(filepath.Join(s.Directory, r.Name+fileSuffix), identity)
	if err != nil {
		t.Fatal(err)
	}
	dir := pgtest.Dir(t)
	shell := func(script string) {
		t.Helper()
		cmd := exec.Command("sh", "-ec", script)
		cmd.Dir, cmd.Stdin = dir, bytes.NewReader(plain)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", script, err, out)
		}
	}
	shell(`tar x`)
	for _, stream := range r.Streams {
		shell(`cat ` + stream.Name + `.?????? > ` + stream.Name)
		content, err := os.ReadFile(filepath.Join(dir, stream.Name))
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(content); int64(len(content)) != stream.Size || hex.EncodeToString(sum[:]) != stream.SHA256 {
			t.Errorf("%s has %d bytes and the sum %x, the receipt says %+v", stream.Name, len(content), sum, stream)
		}
	}
	var m Manifest
	text, err := os.ReadFile(filepath.Join(dir, manifestMember))
	if err != nil || json.Unmarshal(text, &m) != nil || !cmp.Equal(m, r.Manifest) {
		t.Errorf("the manifest is %s, %v", text, err)
	}
	if !restore {
		return
	}
	shell(`mkdir -m 0700 data && cat base.tar.* | tar x -C data && mkdir config && tar x -C config -f config.tar && grep -q 'name: kt01' config/node/node.yaml`)
	if err := postgres.VerifyBackup(pgtest.Context(t), s.Server.Installation, filepath.Join(dir, "data"), nil); err != nil {
		t.Error(err)
	}
	shell(s.Server.Path("pg_restore") + ` -l dump.pgc | grep -q thing`)
	shell(`grep -q 'CREATE ROLE' globals.sql`)
}

// TestUnproven: whatever is wrong with a backup, it is not published, nothing of it is left, and the error names what is
// wrong.
func TestUnproven(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	s := newSite(t)
	partial := func(t *testing.T) string {
		t.Helper()
		found, err := filepath.Glob(filepath.Join(s.Directory, "*"+partialSuffix))
		if err != nil || len(found) != 1 {
			t.Fatal(found, err)
		}
		return found[0]
	}
	at := func(point string, do func()) func(string) error {
		return func(p string) error {
			if p == point {
				do()
			}
			return nil
		}
	}
	work := func(name string) string { return filepath.Join(s.Directory, (&run{Options: s.Options}).work(), name) }
	for name, row := range map[string]struct {
		options func(t *testing.T, o *Options)
		want    string
	}{
		"a byte of the file is another": {func(t *testing.T, o *Options) {
			o.point = at("written", func() { pgtest.FlipByte(t, partial(t), 1<<20) })
		}, "decrypt"},
		"the file is cut": {func(t *testing.T, o *Options) {
			o.point = at("written", func() {
				info, err := os.Stat(partial(t))
				if err != nil || os.Truncate(partial(t), info.Size()/2) != nil {
					t.Error(err)
				}
			})
		}, "decrypt"},
		"the file goes on": {func(t *testing.T, o *Options) {
			o.point = at("written", func() {
				f, err := os.OpenFile(partial(t), os.O_APPEND|os.O_WRONLY, 0)
				if err != nil {
					t.Error(err)
					return
				}
				defer f.Close()
				f.WriteString("more")
			})
		}, "decrypt"},
		"a page of the copy is another": {func(t *testing.T, o *Options) {
			o.point = at("read back", func() { pgtest.FlipByte(t, work("data/global/1260"), 100) })
		}, "global/1260"},
		"a version that does not open": {func(t *testing.T, o *Options) {
			o.Checker = damaging{do: func(r *Row, open bool) error {
				if open && r.ID[15] == 0x02 {
					return errors.New("version payroll@2 does not open")
				}
				return nil
			}}
		}, "payroll@2"},
		"a row is another than it was": {func(t *testing.T, o *Options) {
			o.Checker = damaging{do: func(r *Row, open bool) error {
				if open && r.ID[15] == 0x01 {
					r.Sum[0] ^= 1
				}
				return nil
			}}
		}, "its base backup: version 00000000-0000-4000-8000-000000000001 is not what it was"},
		"a row is missing": {func(t *testing.T, o *Options) {
			o.Checker = damaging{do: func(r *Row, open bool) error {
				if open {
					r.ID[15] += 2
				}
				return nil
			}}
		}, "its base backup: version 00000000-0000-4000-8000-000000000001 is not there"},
		"a row of the restored dump is another": {func(t *testing.T, o *Options) {
			o.Checker = damaging{do: func(r *Row, open bool) error {
				if !open && r.ID[15] == 0x02 {
					r.Sum[0] ^= 1
				}
				return nil
			}}
		}, "its dump: version 00000000-0000-4000-8000-000000000002 is not what it was"},
		"a row of the dump is damaged": {func(t *testing.T, o *Options) {
			o.point = at("restored", func() { pgtest.FlipByte(t, work(copyStream(Version)), int64(len(copyOfThings(1, 2))-3)) })
		}, "version 00000000-0000-4000-8000-000000000002 is not what it was"},
		"a dump that is damaged": {func(t *testing.T, o *Options) {
			o.point = at("restored", func() { pgtest.FlipByte(t, work(dumpStream), 10) })
		}, "its dump: pg_restore"},
	} {
		t.Run(name, func(t *testing.T) {
			o := s.Options
			row.options(t, &o)
			_, err := Create(t.Context(), o)
			unproven, ok := errors.AsType[*UnprovenError](err)
			if !ok || !strings.Contains(err.Error(), row.want) || unproven.Hint() == "" {
				t.Errorf("error %v, want %q", err, row.want)
			}
			s.holds(t)
			s.lists(t)
		})
	}

	t.Run("a sealed byte is another", func(t *testing.T) {
		sql(t, s.Server, `update thing set sealed = set_byte(sealed, 0, 0) where id::text like '%2'`)
		_, err := Create(t.Context(), s.Options)
		if _, ok := errors.AsType[*UnprovenError](err); !ok || !strings.Contains(err.Error(), "thing 00000000-0000-4000-8000-000000000002 does not open") {
			t.Errorf("error %v", err)
		}
		s.holds(t)
	})
}

// damaging is things, with something done to each row of a database.
type damaging struct {
	things
	do func(r *Row, open bool) error
}

func (d damaging) Rows(ctx context.Context, q Querier, row func(Row) error) error {
	return things{}.Rows(ctx, q, func(r Row) error { return errors.Join(d.do(&r, false), row(r)) })
}

func (d damaging) Open(ctx context.Context, q Querier, row func(Row) error) error {
	return things{}.Open(ctx, q, func(r Row) error {
		if err := d.do(&r, true); err != nil {
			return err
		}
		return row(r)
	})
}

// TestNewerRows: what is written while a backup is made may be in it, and is opened too.
func TestNewerRows(t *testing.T) {
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
	if r := s.mustCreate(t); r.Newer != 1 || r.Rows.Versions != 2 {
		t.Errorf("the receipt %+v", r)
	}
}

// processesOf returns the command lines of the processes that name the directory.
func processesOf(t *testing.T, dir string) (found []string) {
	t.Helper()
	entries, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range entries {
		line, _ := os.ReadFile(path) // it may have ended
		if bytes.Contains(line, []byte(dir)) {
			found = append(found, string(line))
		}
	}
	return found
}

// TestLeftovers: what is removed is what a run leaves, and no link leads out of the directory.
func TestLeftovers(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	s := newSite(t)
	if err := os.Mkdir(s.Directory, 0o700); err != nil {
		t.Fatal(err)
	}
	elsewhere := pgtest.Dir(t)
	mine := filepath.Join(elsewhere, "mine")
	data := filepath.Join(elsewhere, "data")
	if err := errors.Join(os.WriteFile(mine, []byte("mine"), 0o600), os.Symlink(s.Server.Data, data)); err != nil {
		t.Fatal(err)
	}
	const name = "kt-kt01-e1-20260101T000000Z"
	work := (&run{Options: s.Options}).work()
	at := func(file string) string { return filepath.Join(s.Directory, file) }
	check := func(what string) {
		t.Helper()
		r := s.mustCreate(t)
		if text, err := os.ReadFile(mine); err != nil || string(text) != "mine" {
			t.Errorf("%s: what lies elsewhere is %q, %v", what, text, err)
		}
		if _, runs := s.Server.Pid(); !runs {
			t.Fatalf("%s: the server was ended", what)
		}
		for _, file := range files(r) {
			if err := os.Remove(at(file)); err != nil {
				t.Fatal(err)
			}
		}
	}

	if err := errors.Join(os.Symlink(elsewhere, at(work)), os.Symlink(mine, at(name+partialSuffix)), os.Symlink(mine, at(name+receiptSuffix))); err != nil {
		t.Fatal(err)
	}
	check("links")
	s.holds(t)
	if err := errors.Join(os.Mkdir(at(work), 0o700), os.Symlink(s.Server.Data, at(work+"/data"))); err != nil {
		t.Fatal(err)
	}
	check("a link to the data of the server")
	s.holds(t)
	// A receipt whose backup was taken elsewhere, and other people's files, stay.
	for _, file := range []string{name + receiptSuffix, "notes.partial", "kt-notes.ktb.partial"} {
		if err := os.WriteFile(at(file), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check("other files")
	s.holds(t, name+receiptSuffix, "notes.partial", "kt-notes.ktb.partial")
}

// TestTwoHostsShareADirectory: what another host, or another cluster, has in it while it makes a backup there is not touched, and both
// get theirs.
func TestTwoHostsShareADirectory(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	s := newSite(t)
	other := siteOf(t, s.Server)
	other.Directory, other.Facts.Host = s.Directory, "kt02"
	if another := (&run{Options: Options{Facts: Facts{Host: "kt01", Cluster: "c2"}}}).work(); another == (&run{Options: s.Options}).work() {
		t.Error("two clusters work in one place")
	}
	at := func(file string) string { return filepath.Join(s.Directory, file) }
	var made []Receipt
	s.point = func(point string) error {
		if point != "restored" {
			return nil
		}
		made = append(made, other.mustCreate(t))
		if left := other.lists(t, made[0].Name).LeftOut; len(left) != 1 {
			t.Errorf("left out is %v, where one is being made", left)
		}
		return nil
	}
	mine := s.mustCreate(t)
	s.point = nil
	left := []string{".work", ".work-kt02-00000000", "kt-kt02-e1-20260101T000000Z" + partialSuffix, ".kt-kt02-e1-20260101T000000Z.json.17.tmp", ".kt-kt01-e1.tmp"}
	for _, file := range append(left[2:], ".kt-kt01-e1-20260101T000000Z.json.17.tmp") {
		if err := os.WriteFile(at(file), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range left[:2] {
		if err := os.MkdirAll(at(dir+"/data"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	again := s.mustCreate(t)
	s.holds(t, slices.Concat(left, files(mine), files(again), files(made[0]))...)
}

// TestOneAtATime: the second backup of a host is refused, and is told who makes the first.
func TestOneAtATime(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	s := newSite(t)
	o := s.Options
	var attempts []Attempt
	s.Record = func(Attempt) { t.Error("one that is refused is recorded as an attempt") }
	o.Record = func(a Attempt) { attempts = append(attempts, a) }
	o.point = func(point string) error {
		if point != "begun" {
			return nil
		}
		if len(attempts) != 1 || !attempts[0].Ended.IsZero() {
			t.Errorf("while it is made, recorded is %+v", attempts)
		}
		_, err := Create(t.Context(), s.Options)
		setup, ok := errors.AsType[*postgres.SetupError](err)
		if !ok || setup.Hint() == "" || !strings.Contains(err.Error(), fmt.Sprintf("by process %d since 20", os.Getpid())) {
			t.Errorf("the second: %v", err)
		}
		return nil
	}
	r, err := Create(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	s.holds(t, files(r)...)
	if len(attempts) != 2 || attempts[1].Name != r.Name || attempts[1].Error != "" || !attempts[1].Started.Equal(r.Manifest.Started) {
		t.Errorf("recorded is %+v", attempts)
	}

	attempts, o.point = nil, nil
	o.Directory = s.Server.Log // a file
	if _, err := Create(t.Context(), o); err == nil || len(attempts) != 2 || attempts[1].Error == "" || attempts[1].Error != err.Error() || attempts[1].Hint == "" {
		t.Errorf("recorded of one that failed is %+v, %v", attempts, err)
	}
}

// TestRefused: a host that can make no backup says why, and what to do.
func TestRefused(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	s := newSite(t)
	refused := func(name, want string, change func(o *Options)) {
		t.Helper()
		o := s.Options
		change(&o)
		_, err := Create(t.Context(), o)
		if setup, ok := errors.AsType[*postgres.SetupError](err); !ok || setup.Hint() == "" || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	open := filepath.Join(pgtest.Dir(t), "open")
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	refused("a directory that others may enter", "has mode 0755", func(o *Options) { o.Directory = open })
	refused("a file in its place", "can not be made", func(o *Options) { o.Directory = s.Server.Log })
	refused("sockets too far down", "the kernel allows", func(o *Options) { o.Sockets = "/" + strings.Repeat("a", 100) })
	refused("a server that does not run", "PostgreSQL does not run", func(o *Options) {
		down := *s.Server
		down.Data = pgtest.Dir(t)
		o.Server = &down
	})
	refused("a database that is not there", "does not let this process in", func(o *Options) { o.Database = "absent" })
	if _, err := Create(t.Context(), Options{}); err == nil || !strings.Contains(err.Error(), "no recipients") {
		t.Errorf("nobody who can read it: %v", err)
	}
	s.holds(t)

	if err := checkRoom(s.Directory, 1<<60); err == nil || !strings.Contains(err.Error(), "there is no room") {
		t.Errorf("a database that does not fit: %v", err)
	}
	full := explainDisk("/backups", fmt.Errorf("writing: %w", &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}))
	if setup, ok := errors.AsType[*postgres.SetupError](full); !ok || setup.Hint() == "" {
		t.Errorf("a full disk: %v", full)
	}
}
