package backup

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// testOptionsOf are those of a restore test of things.
func testOptionsOf(file, identity, directory string) (TestOptions, error) {
	f, err := os.Open(file) // closed with the process
	if err != nil {
		return TestOptions{}, err
	}
	ids, err := ParseIdentities(identity)
	return TestOptions{
		File: f, Identities: ids, Origin: Origin{Key: clusterKey}, Directory: directory, Database: "postgres", Fits: func(Manifest) error { return nil },
		Keys: func(string, Manifest) (Checker, error) { return things{}, nil },
	}, err
}

func mustTestOptions(t *testing.T, file, identity string) TestOptions {
	t.Helper()
	o, err := testOptionsOf(file, identity, filepath.Join(pgtest.Dir(t), "test"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.File.Close() })
	return o
}

// empty checks that nothing is left of a restore test.
func empty(t *testing.T, o TestOptions) {
	t.Helper()
	if entries, err := os.ReadDir(o.Directory); err != nil && !errors.Is(err, fs.ErrNotExist) || len(entries) > 0 {
		t.Errorf("left in %s: %v, %v", o.Directory, entries, err)
	}
	if left := processesOf(t, o.Directory); len(left) > 0 {
		t.Errorf("still running: %q", left)
	}
}

func text(identity age.Identity) string { return identity.(*age.X25519Identity).String() }

// TestRestoreTest: each recipient's identity alone proves a backup, though nothing of the host is there but the file; the result says
// what was seen, and nothing is left.
func TestRestoreTest(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	s := newSite(t)
	r := s.mustCreate(t)
	if err := s.Server.Stop(pgtest.Context(t), postgres.Fast); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(pgtest.Dir(t), "received")
	if err := os.Rename(File(s.Directory, r.Name), file); err != nil {
		t.Fatal(err)
	}
	for i, identity := range s.identities {
		o := mustTestOptions(t, file, text(identity))
		said := new(listener)
		o.Progress = said
		o.Keys = func(config string, m Manifest) (Checker, error) {
			if text, err := os.ReadFile(filepath.Join(config, "node", "node.yaml")); err != nil || string(text) != "name: kt01\n" || m.Cluster != "c1" {
				t.Errorf("in %s: %q, %v", config, text, err)
			}
			return things{}, nil
		}
		before := time.Now()
		got, err := RestoreTest(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if got.Name != r.Name || got.SHA256 != r.SHA256 || got.Rows != r.Rows || got.Cluster != "c1" || got.Host != "kt01" || !got.Started.Equal(r.Manifest.Started) ||
			got.Recipient != s.texts[i] || got.Tested.Before(before.Add(-2*time.Second)) || got.PostgreSQL != s.Server.Version.String() {
			t.Errorf("%+v", got)
		}
		said.heard(t, append([]string{"unpacking the backup"}, trialPhases...)...)
		if p := said.of(t, "unpacking the backup"); p.total != r.Size {
			t.Errorf("unpacking: %+v", p)
		}
		empty(t, o)
	}
}

// TestRestoreTestFails: whatever is wrong, the test fails and says what it is, nothing is left, and the backup is as it was.
func TestRestoreTestFails(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	s := newSite(t)
	r := s.mustCreate(t)
	file := File(s.Directory, r.Name)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	at := func(o *TestOptions, point string, do func(work string)) {
		o.point = func(p string) error {
			if p == point {
				do(filepath.Join(o.Directory, workDir))
			}
			return nil
		}
	}
	checker := func(c Checker) func(string, Manifest) (Checker, error) {
		return func(string, Manifest) (Checker, error) { return c, nil }
	}
	for name, row := range map[string]struct {
		change func(o *TestOptions)
		want   string
	}{
		"a page of the copy is another": {func(o *TestOptions) {
			at(o, "unpacked", func(work string) { pgtest.FlipByte(t, filepath.Join(work, "data/global/1260"), 100) })
		}, "global/1260"},
		"a version that does not open": {func(o *TestOptions) {
			o.Keys = checker(damaging{do: func(r *Row, open bool) error {
				if open && r.ID[15] == 0x02 {
					return errors.New("version payroll@2 does not open")
				}
				return nil
			}})
		}, "its base backup: version payroll@2 does not open"},
		"a row is another than it was": {func(o *TestOptions) {
			o.Keys = checker(damaging{do: func(r *Row, open bool) error {
				if open && r.ID[15] == 0x01 {
					r.Sum[0] ^= 1
				}
				return nil
			}})
		}, "version 00000000-0000-4000-8000-000000000001 is not what it was"},
		"a row of the dump is not there": {func(o *TestOptions) {
			at(o, "unpacked", func(work string) { replace(t, filepath.Join(work, "versions.copy"), copyOfThings(1, 2, 9)) })
		}, "its base backup: version 00000000-0000-4000-8000-000000000009 is not there"},
		"the dump has less than the backup says": {func(o *TestOptions) {
			at(o, "unpacked", func(work string) { replace(t, filepath.Join(work, "versions.copy"), copyOfThings(1)) })
		}, "its trailer says"},
		"a copy of a table is cut off": {func(o *TestOptions) {
			at(o, "unpacked", func(work string) { replace(t, filepath.Join(work, "versions.copy"), copyOfThings(1, 2)[:70]) })
		}, "unexpected EOF"},
		"a dump that is damaged": {func(o *TestOptions) {
			at(o, "restored", func(work string) { pgtest.FlipByte(t, filepath.Join(work, dumpStream), 10) })
		}, "its dump: pg_restore"},
	} {
		t.Run(name, func(t *testing.T) {
			o := mustTestOptions(t, file, text(s.identities[0]))
			row.change(&o)
			_, err := RestoreTest(t.Context(), o)
			failed, ok := errors.AsType[*FailedTestError](err)
			if !ok || failed.Name != r.Name || failed.Hint() == "" || !strings.Contains(err.Error(), row.want) {
				t.Errorf("error %v, want %q", err, row.want)
			}
			empty(t, o)
		})
	}
	t.Run("no key opens it", func(t *testing.T) {
		for _, refuse := range []func(o *TestOptions, err error){
			func(o *TestOptions, err error) { o.Fits = func(Manifest) error { return err } },
			func(o *TestOptions, err error) {
				o.Keys = func(string, Manifest) (Checker, error) { return nil, err }
			},
		} {
			o, no := mustTestOptions(t, file, text(s.identities[0])), errors.New("another cluster's")
			refuse(&o, no)
			if _, err := RestoreTest(t.Context(), o); !errors.Is(err, no) {
				t.Errorf("error %v", err)
			}
			empty(t, o)
		}
	})
	t.Run("it becomes another one while it is read", func(t *testing.T) {
		o := mustTestOptions(t, file, text(s.identities[0]))
		another, err := os.ReadFile(File(s.Directory, s.mustCreate(t).Name))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(pgtest.Dir(t), "changing.ktb")
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		if o.File, err = os.Open(path); err != nil {
			t.Fatal(err)
		}
		defer o.File.Close()
		o.Fits = func(Manifest) error { return os.WriteFile(path, another, 0o600) }
		if _, err := RestoreTest(t.Context(), o); err == nil || !strings.Contains(err.Error(), "it has become another one while it was read") {
			t.Errorf("error %v", err)
		}
		empty(t, o)
	})
	t.Run("interrupted", func(t *testing.T) {
		for _, point := range []string{"unpacked", "restored"} {
			ctx, cancel := context.WithCancel(t.Context())
			o := mustTestOptions(t, file, text(s.identities[0]))
			at(&o, point, func(string) { cancel() })
			if _, err := RestoreTest(ctx, o); !errors.Is(err, context.Canceled) {
				t.Errorf("at %q: %v", point, err)
			}
			cancel()
			empty(t, o)
		}
	})
	if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, whole) {
		t.Errorf("the backup is another one, %v", err)
	}
}

// TestRestoreTestKilled: what a test that was killed has left, its server included, the next one removes.
func TestRestoreTestKilled(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	s := newSite(t)
	r := s.mustCreate(t)
	o := mustTestOptions(t, File(s.Directory, r.Name), text(s.identities[1]))
	for _, point := range []string{"unpacked", "restored"} {
		description, err := json.Marshal(doomed{Directory: o.Directory, At: point, File: o.File.Name(), Identity: text(s.identities[1])})
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), killEnv+"="+string(description))
		out, err := cmd.CombinedOutput()
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
			t.Fatalf("at %s it ended otherwise: %v: %s", point, err, out)
		}
		if runs := len(processesOf(t, o.Directory)) > 0; runs != (point == "restored") {
			t.Errorf("at %s: its server runs: %v", point, runs)
		}
		if _, err := RestoreTest(t.Context(), o); err != nil {
			t.Errorf("after %s: %v", point, err)
		}
		if _, err := o.File.Seek(0, 0); err != nil {
			t.Fatal(err)
		}
		empty(t, o)
	}
}

// TestRestoreTestRefused: a place where it can not be done is refused before anything is unpacked, with what to do.
func TestRestoreTestRefused(t *testing.T) {
	key := newIdentity(t)
	m := smallManifest
	m.Host, m.Epoch, m.PostgreSQL = "kt01", 1, "15.18"
	write := func(m Manifest) string {
		path := filepath.Join(pgtest.Dir(t), "x.ktb")
		if err := os.WriteFile(path, smallBackup(t, m, key.Recipient()), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	refused := func(name, want string, o TestOptions) {
		t.Helper()
		_, err := RestoreTest(t.Context(), o)
		if setup, ok := errors.AsType[*postgres.SetupError](err); !ok || setup.Hint() == "" || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
		if _, err := os.Lstat(filepath.Join(o.Directory, workDir)); err == nil {
			t.Errorf("%s: something was unpacked", name)
		}
	}
	o := mustTestOptions(t, write(m), key.String())
	if err := os.Mkdir(o.Directory, 0o755); err != nil {
		t.Fatal(err)
	}
	refused("a directory that others may enter", "has mode 0755 or another owner", o)
	o.Directory = filepath.Join(pgtest.Dir(t), strings.Repeat("a", 100))
	if os.Geteuid() != 0 { // who is root is refused before
		refused("too far down", "the kernel allows", o)
	}

	m.PostgreSQL = "none"
	o = mustTestOptions(t, write(m), key.String())
	if _, err := RestoreTest(t.Context(), o); !strings.Contains(fmt.Sprint(err), "names no version of PostgreSQL") {
		t.Errorf("no version: %v", err)
	}
	m.PostgreSQL, m.Host = "15.18", "../../etc"
	o = mustTestOptions(t, write(m), key.String())
	if _, err := RestoreTest(t.Context(), o); !strings.Contains(fmt.Sprint(err), "can not be the name of a backup") {
		t.Errorf("no name: %v", err)
	}

	dir := filepath.Join(pgtest.Dir(t), "test")
	root, err := openClosed(dir, "it", "--directory")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	release, err := lockDirectory(root, dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockDirectory(root, dir); err == nil || !strings.Contains(err.Error(), "a restore test is under way in "+dir) {
		t.Errorf("the second: %v", err)
	}
	release()
	release, err = lockDirectory(root, dir)
	if err != nil {
		t.Fatal(err)
	}
	release()
}

// TestLoadTested: the newest is remembered, whatever comes later; one of the future is none.
func TestLoadTested(t *testing.T) {
	file := filepath.Join(t.TempDir(), "restore-test.json")
	now := time.Date(2026, 11, 29, 15, 0, 0, 0, time.UTC)
	one := Tested{Format: Format, Name: "kt-kt01-e1-20261129T140000Z", Tested: now, Recipient: "age1", RecoveryKey: "ff"}
	last := func(want *Tested) {
		t.Helper()
		got, err := LoadTested(file)
		if err != nil || (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Errorf("the last is %+v, %v, want %+v", got, err, want)
		}
	}
	note := func(tested Tested) {
		t.Helper()
		if err := NoteTest(file, tested, now); err != nil {
			t.Error(err)
		}
	}
	last(nil)
	note(one)
	last(&one)
	older, newer := one, one
	older.Tested, newer.Tested = now.Add(-time.Hour), now.Add(time.Minute)
	note(older)
	last(&one)
	note(newer)
	last(&newer)
	future := one
	future.Tested = now.Add(time.Hour)
	if err := NoteTest(file, future, now); err == nil {
		t.Error("a test of the future was noted")
	}
	last(&newer)
	if err := os.WriteFile(file, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := LoadTested(file); err == nil {
		t.Errorf("a note that is damaged tells %+v", got)
	}
	note(one)
	last(&one)
	for _, wrong := range []string{"", "{}", `{"format": 1}`, `{"format": 2, "name": "kt-kt01-e1-20261129T140000Z", "tested": "2026-11-29T15:00:00Z", "recipient": "age1", "recovery_key": "ff"}`} {
		if got, err := ParseTested([]byte(wrong)); err == nil {
			t.Errorf("%s tells %+v", wrong, got)
		}
	}
}

// replace gives a file another content.
func replace(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Error(err)
	}
}
