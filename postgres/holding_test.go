package postgres_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// TestProgramsHoldTheLock: what fills a data directory keeps the lock that it is given, also when this process is killed. A server does not,
// which would keep it for as long as it runs; it can be found and ended from its first moment on.
func TestProgramsHoldTheLock(t *testing.T) {
	ctx := pgtest.Context(t)
	lock, err := os.Create(filepath.Join(pgtest.Dir(t), "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	s := pgtest.Server(t, pgtest.Options{})
	s.Lock = lock
	var begun func(string) []string
	s.BinDir, begun = pgtest.Watch(t, s.Installation)
	if err := s.Init(ctx); err != nil {
		t.Fatal(err)
	}
	pgtest.Start(t, s)
	copied := filepath.Join(pgtest.Dir(t), "copy")
	err = postgres.BaseBackup(ctx, s.Installation, postgres.BaseBackupOptions{ConnString: s.ConnString("postgres"), Target: copied, RunAs: s.RunAs, Lock: lock}, nil)
	if err != nil {
		t.Fatal(err)
	}
	stop(t, s, postgres.Fast)
	if err := s.SkipXIDs(ctx, 1); err != nil {
		t.Fatal(err)
	}
	want := []string{"initdb -D with it in /", "postgres --single with it in /", "postgres -D without in " + s.Data,
		"pg_basebackup -d with it in /", "pg_resetwal --epoch=1 with it in /"}
	if got := begun(lock.Name()); !slices.Equal(got, want) {
		t.Errorf("begun were %q, want %q", got, want)
	}
}

// TestEndAServerThatHasJustBegun: End waits until it says that it is the server, and is gone.
func TestEndAServerThatHasJustBegun(t *testing.T) {
	s := pgtest.Server(t, pgtest.Options{})
	if err := s.Init(pgtest.Context(t)); err != nil {
		t.Fatal(err)
	}
	pid, ended := pgtest.Beginning(t, s.Data)
	soon, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := s.End(soon); err == nil || !strings.Contains(err.Error(), strconv.Itoa(pid)) {
		t.Errorf("with a server that does not say that it is one: %v", err)
	}
	if err := os.WriteFile(filepath.Join(s.Data, "postmaster.pid"), []byte(strconv.Itoa(pid)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.End(pgtest.Context(t)); err != nil {
		t.Fatal(err)
	}
	<-ended
}
