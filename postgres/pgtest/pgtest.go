package pgtest

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"keytrustee/internal/freeport"
	"keytrustee/postgres"
)

// Options say how a server differs from one that stands alone.
type Options struct {
	Settings postgres.Settings // without SynchronousStandbyNames commits wait for nobody
	HBA      postgres.HBA
	TLS      postgres.TLSFiles
	Listen   []string // none: the socket only
	Dir      string   // where its files go; empty: a Dir of its own
}

// Patience is how long a test waits for what should come at once.
const Patience = 30 * time.Second

// Dir returns a new directory with a short path that every user may enter and User owns. It is removed at the test's end.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "kt")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	own(t, dir)
	return dir
}

// own gives a file or directory to User.
func own(t testing.TB, path string) {
	t.Helper()
	if u := User(t); u != nil {
		if err := os.Chown(path, u.UID, u.GID); err != nil {
			t.Fatal(err)
		}
	}
}

// User is who servers of tests run as: nil, which is this process's user, unless that is root.
func User(t testing.TB) *postgres.OSUser {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := postgres.ServiceUser()
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// Context ends after Patience, or when the test is cleaned up. It may be used in a cleanup, unlike the test's own.
func Context(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	t.Cleanup(cancel)
	return ctx
}

// Await returns when the condition holds, and ends the test if it does not within Patience.
func Await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", Patience, what)
		}
	}
}

// FreePort returns a TCP port of 127.0.0.1 that nothing used a moment ago.
func FreePort(t testing.TB) int {
	t.Helper()
	ports, err := freeport.Pick(1, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	return ports[0]
}

// Server describes a server whose files lie in o.Dir, and writes its configuration; it makes no database.
func Server(t testing.TB, o Options) *postgres.Server {
	t.Helper()
	inst, err := postgres.Find(Context(t))
	if err != nil {
		t.Fatal(err)
	}
	current, err := postgres.CurrentOSUser()
	if err != nil {
		t.Fatal(err)
	}
	dir := o.Dir
	if dir == "" {
		dir = Dir(t)
	}
	s := &postgres.Server{
		Installation: inst,
		Data:         filepath.Join(dir, "data"),
		Conf:         filepath.Join(dir, "conf"),
		Socket:       filepath.Join(dir, "s"),
		Log:          filepath.Join(dir, "log"),
		Port:         FreePort(t),
		Listen:       o.Listen,
		RunAs:        User(t),
		Admins:       []string{current.Name},
		TLS:          o.TLS,
	}
	if s.RunAs != nil {
		s.Admins = append(s.Admins, s.RunAs.Name)
	}
	Configure(t, s, o)
	return s
}

// Configure writes the server's settings and access rules.
func Configure(t testing.TB, s *postgres.Server, o Options) {
	t.Helper()
	set := o.Settings
	set.Extra = maps.Clone(set.Extra)
	if set.SynchronousStandbyNames == "" {
		if set.Extra == nil {
			set.Extra = map[string]string{}
		}
		set.Extra["synchronous_standby_names"] = ""
	}
	if err := s.WriteSettings(set); err != nil {
		t.Fatal(err)
	}
	if err := s.WriteHBA(o.HBA); err != nil {
		t.Fatal(err)
	}
}

// New returns a new server that runs until the test's end.
func New(t testing.TB, o Options) *postgres.Server {
	t.Helper()
	s := Server(t, o)
	if err := s.Init(Context(t)); err != nil {
		t.Fatal(err)
	}
	Start(t, s)
	return s
}

// Start starts the server; it is stopped at the test's end, if it runs then.
func Start(t testing.TB, s *postgres.Server) {
	t.Helper()
	t.Cleanup(func() {
		if err := s.Stop(Context(t), postgres.Immediate); err != nil {
			t.Error(err)
		}
	})
	if err := s.Start(Context(t)); err != nil {
		t.Fatal(err)
	}
}

// Clone returns a running standby of a server of this package, which streams over the socket through a slot. Both the
// slot and what the standby calls itself are name.
func Clone(t testing.TB, from *postgres.Server, name string, o Options) *postgres.Server {
	t.Helper()
	source := postgres.ConnString("host", from.Socket, "port", strconv.Itoa(from.Port), "user", postgres.Superuser, "application_name", name)
	o.Settings.PrimaryConninfo, o.Settings.PrimarySlotName = source, name
	s := Server(t, o)
	err := postgres.BaseBackup(Context(t), s.Installation, postgres.BaseBackupOptions{
		ConnString: source, Slot: name, CreateSlot: true, Target: s.Data, RunAs: s.RunAs,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetSignal(postgres.StandbySignal); err != nil {
		t.Fatal(err)
	}
	Start(t, s)
	return s
}
