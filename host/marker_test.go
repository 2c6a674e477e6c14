package host

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// TestRestoreKnowsItsDirectory: when the lost data disk lies where a restore from a backup broke off, the restore is neither repeated nor given
// up over it: the server that runs there runs on, and nothing is removed. When it has gone again, both are possible.
func TestRestoreKnowsItsDirectory(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	h := newHost(t, "kt01", 1)
	journal := &Journal{Operation: rebuildOperation}
	if err := errors.Join(h.makeDirectories(), os.MkdirAll(h.PGRoot, 0o700), h.clearMaking(journal, h.PGRoot), os.WriteFile(filepath.Join(h.PGRoot, "half"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	ours := h.PGRoot + ".ours"
	if err := os.Rename(h.PGRoot, ours); err != nil {
		t.Fatal(err)
	}
	server := mustServer(t, h)
	server.Listen, server.TLS = nil, postgres.TLSFiles{}
	if err := errors.Join(server.Init(pgtest.Context(t)), h.closeDatabase(server), server.Start(pgtest.Context(t))); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), "is not what the restore from a backup was making there") || !strings.Contains(hintOf(err), "move it aside") {
			t.Errorf("%s: %v (hint %q)", what, err, hintOf(err))
		}
		conn, err := h.connect(pgtest.Context(t), server)
		if err != nil {
			t.Fatalf("%s: the server was stopped: %v", what, err)
		}
		conn.Close(pgtest.Context(t))
	}
	r := &rebuild{Host: h, o: RebuildOptions{Confirm: "kt02 is powered off", Progress: new(stages)}}
	refused("looking", r.check(pgtest.Context(t)))
	refused("unpacking", r.unpack(pgtest.Context(t), journal))
	_, err := h.Abort(pgtest.Context(t), nil)
	refused("giving up", err)
	if err := server.Stop(pgtest.Context(t), postgres.Fast); err != nil {
		t.Fatal(err)
	}
	before := content(t, h.PGRoot)
	if err := h.clearMaking(journal, h.PGRoot); err == nil {
		t.Error("it was cleared to be filled")
	}
	if err := h.clearMarked(journal, h.PGRoot); err == nil {
		t.Error("it was cleared")
	}
	if !maps.Equal(content(t, h.PGRoot), before) || len(before) < 100 {
		t.Errorf("of %d files there are %d", len(before), len(content(t, h.PGRoot)))
	}
	if err := errors.Join(os.Rename(h.PGRoot, h.PGRoot+".theirs"), os.Rename(ours, h.PGRoot)); err != nil {
		t.Fatal(err)
	}
	if err := r.check(pgtest.Context(t)); err != nil {
		t.Error(err)
	}
	if _, err := h.Abort(pgtest.Context(t), nil); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(h.PGRoot); err != nil || len(entries) > 0 {
		t.Errorf("left is %v, %v", entries, err)
	}
}

// TestJoinKnowsItsDirectory: when another directory lies where a join, a re-clone or a restore from the survivor broke off, such as a disk that was
// mounted there, the operation is neither repeated nor given up over it: the server that runs there runs on, and nothing is removed. When it has gone
// again, both are possible; and one that was begun with an earlier release goes on.
func TestJoinKnowsItsDirectory(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	for _, operation := range []string{joinOperation, recloneOperation, restoreOperation} {
		t.Run(operation, func(t *testing.T) {
			h := newHost(t, "kt01", 1)
			journal := &Journal{Operation: operation}
			if err := errors.Join(h.makeDirectories(), h.clearMaking(journal, h.PGRoot), os.WriteFile(filepath.Join(h.PGRoot, "half"), nil, 0o600)); err != nil {
				t.Fatal(err)
			}
			ours := h.PGRoot + ".ours"
			if err := os.Rename(h.PGRoot, ours); err != nil {
				t.Fatal(err)
			}
			server := mustServer(t, h)
			server.Listen, server.TLS = nil, postgres.TLSFiles{}
			if err := errors.Join(server.Init(pgtest.Context(t)), h.closeDatabase(server), server.Start(pgtest.Context(t))); err != nil {
				t.Fatal(err)
			}
			refused := func(what string, err error) {
				t.Helper()
				if err == nil || !strings.Contains(err.Error(), "is not the one that the "+operation+" was filling") || !strings.Contains(hintOf(err), "move it aside") {
					t.Errorf("%s: %v (hint %q)", what, err, hintOf(err))
				}
				if _, runs := server.Pid(); !runs {
					t.Fatalf("%s: the server was stopped", what)
				}
			}
			refused("stopping", h.stopCopy(pgtest.Context(t), journal))
			refused("clearing", h.clearMaking(journal, h.PGRoot))
			_, err := h.Abort(pgtest.Context(t), nil)
			refused("giving up", err)
			if err := server.Stop(pgtest.Context(t), postgres.Fast); err != nil {
				t.Fatal(err)
			}
			if have, err := exists(filepath.Join(h.PGRoot, "PG_VERSION")); err != nil || !have {
				t.Errorf("what lay there has gone: %v", err)
			}
			if err := errors.Join(os.Rename(h.PGRoot, h.PGRoot+".theirs"), os.Rename(ours, h.PGRoot), h.clearMaking(journal, h.PGRoot)); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(h.PGRoot, "half"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := h.Abort(pgtest.Context(t), nil); err != nil {
				t.Fatal(err)
			}
			if entries, err := os.ReadDir(h.PGRoot); err != nil || len(entries) > 0 {
				t.Errorf("left is %v, %v", entries, err)
			}
			earlier := &Journal{Operation: operation, Making: h.PGRoot}
			if err := errors.Join(os.WriteFile(filepath.Join(h.PGRoot, "half"), nil, 0o600), h.clearMaking(earlier, h.PGRoot)); err != nil {
				t.Errorf("of an earlier release: %v", err)
			}
		})
	}
}

// TestLaidOutWhenThePowerWasLost: what a power loss has made of a copy that was being laid out keeps no restore from being repeated.
func TestLaidOutWhenThePowerWasLost(t *testing.T) {
	h := newHost(t, "kt01", 1)
	journal := &Journal{Operation: rebuildOperation}
	if err := errors.Join(h.makeDirectories(), os.MkdirAll(h.PGRoot, 0o700), h.clearMaking(journal, h.PGRoot)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"PG_VERSION", "postmaster.pid"} { // the names are there, and what was in them is not
		if err := os.WriteFile(filepath.Join(h.PGRoot, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(h.stopCopy(pgtest.Context(t), journal), h.clearMaking(journal, h.PGRoot)); err != nil {
		t.Error(err)
	}
}
