package pairtest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"keytrustee/replication/pairtest"
)

// TestDownLeavesNothing: after down no process of the pair runs and no socket is there; up brings the same keys back.
func TestDownLeavesNothing(t *testing.T) {
	begun := time.Now()
	p := pairtest.New(t)
	t.Logf("confirmed after %v", time.Since(begun).Round(time.Millisecond))
	name, material := p.Passive.MustCreate(t)
	sockets := socketsOf(t, p)
	if len(sockets) == 0 {
		t.Fatal("no socket found while the pair runs")
	}
	p.Passive.Freeze(t, pairtest.PostgreSQL)
	p.Down(t)
	for _, socket := range sockets {
		if _, err := os.Lstat(socket); err == nil {
			t.Errorf("the socket %s is still there", socket)
		}
	}
	if left := processesOf(t, p.Dir); len(left) > 0 {
		t.Errorf("still running: %q", left)
	}
	if _, err := os.Stat(filepath.Join(p.Dir, "pair.json")); err == nil {
		t.Error("pair.json is still there")
	}
	p.Up(t)
	for _, n := range p.Nodes {
		if n.MustServe(t, name) != material {
			t.Errorf("%s serves other material after down and up", n.Name)
		}
	}
}

// socketsOf returns the UNIX sockets that lie where the pair's PostgreSQL has its own.
func socketsOf(t *testing.T, p *pairtest.Pair) []string {
	t.Helper()
	var found []string
	for _, n := range p.Nodes {
		config, err := pgx.ParseConfig(n.AdminDSN)
		if err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(config.Host, "*"))
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, files...)
	}
	return found
}

// processesOf returns the command lines of the processes that name the directory or work below it.
func processesOf(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, proc := range entries {
		line, _ := os.ReadFile(filepath.Join(proc, "cmdline")) // it may have ended
		cwd, _ := os.Readlink(filepath.Join(proc, "cwd"))
		if strings.Contains(string(line), dir) || strings.HasPrefix(cwd, dir) {
			found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}
