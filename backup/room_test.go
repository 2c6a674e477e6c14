package backup

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// roomy is a run whose backups, and whose database, lie in these directories, which are made.
func roomy(t *testing.T, directory, data string) *run {
	t.Helper()
	if err := errors.Join(os.MkdirAll(directory, 0o700), os.MkdirAll(data, 0o700)); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(directory)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return &run{Options: Options{Directory: directory, Server: &postgres.Server{Data: data}}, root: root}
}

// TestSparing: a backup on the disk of the database is given up while that has what writes of keys need; on a disk of its own it is not.
func TestSparing(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a disk")
	}
	dir := t.TempDir()
	smallDisk(t, dir, 300*mib)
	for _, row := range []struct {
		what   string
		run    *run
		spared bool
	}{
		{"its own disk", roomy(t, filepath.Join(dir, "backups"), t.TempDir()), false},
		{"the database's", roomy(t, filepath.Join(dir, "backups"), filepath.Join(dir, "db")), true},
	} {
		ctx, spared, err := row.run.sparing(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if row.spared {
			pgtest.Await(t, "it is given up", func() bool { return ctx.Err() != nil })
		} else {
			time.Sleep(4 * lookOften) // for as long as nothing happens
		}
		err = spared()
		setup, ok := errors.AsType[*postgres.SetupError](err)
		if row.spared != ok || ok && (setup.Hint() == "" || !strings.Contains(err.Error(), "which is the database's too") || !errors.Is(context.Cause(ctx), err)) || !row.spared && err != nil {
			t.Errorf("%s: %v", row.what, err)
		}
	}
}

// TestBecauseFull: what fails on a disk that is full fails for that, whatever it says.
func TestBecauseFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a disk")
	}
	dir, odd := t.TempDir(), errors.New("the server ended")
	smallDisk(t, dir, 8*mib)
	r := roomy(t, dir, t.TempDir())
	if err := r.becauseFull(odd); !diskFull(err) || !errors.Is(err, odd) {
		t.Errorf("on a full disk: %v", err)
	}
	if err := r.becauseFull(nil); err != nil {
		t.Errorf("what did not fail: %v", err)
	}
	r.Directory = t.TempDir()
	if err := r.becauseFull(odd); err != odd {
		t.Errorf("where there is room: %v", err)
	}
}

// TestNameOfASecondOnce: by a clock that was set back a backup is begun in a second that has one. It gets a name of its own.
func TestNameOfASecondOnce(t *testing.T) {
	r := roomy(t, t.TempDir(), t.TempDir())
	at := time.Date(2026, 11, 29, 15, 0, 0, 0, time.UTC)
	r.Now = func() time.Time { return at.Add(time.Hour) } // set forth meanwhile
	there := lay(t, r.Directory, begun(at))
	m := there.Manifest
	name, err := r.name(t.Context(), &m)
	if err != nil || name == there.Name || !m.Started.Equal(at.Add(time.Hour)) || name != begun(m.Started).Name {
		t.Errorf("%q, begun at %v, %v", name, m.Started, err)
	}
}
