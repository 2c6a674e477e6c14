package postgres_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// TestWAL reads the log of a primary and its standby beside their servers.
func TestWAL(t *testing.T) {
	t.Parallel()
	primary := pgtest.New(t, pgtest.Options{})
	standby := pgtest.Clone(t, primary, "kt_clone", pgtest.Options{})
	prepare(t, primary)

	t.Run("both end at the flushed position, with the same bytes before it", func(t *testing.T) {
		// Records of a page and more, so that they cross pages.
		exec(t, primary, `SELECT pg_logical_emit_message(true, 'filler', repeat('x', 100 * g)) FROM generate_series(1, 200) g`)
		wantSameEnd(t, primary, standby)
	})
	t.Run("over the end of a segment", func(t *testing.T) {
		exec(t, primary, `CHECKPOINT`)
		exec(t, primary, `SELECT pg_logical_emit_message(true, 'filler', repeat('x', 1000000)) FROM generate_series(1, 17)`)
		wantSameEnd(t, primary, standby)
		exec(t, primary, `CHECKPOINT`)
		exec(t, standby, `CHECKPOINT`)
	})
	t.Run("at the end of a segment that was switched", func(t *testing.T) {
		exec(t, primary, `SELECT pg_switch_wal()`)
		end := wantSameEnd(t, primary, standby)
		if end%(16<<20) != 0 {
			t.Errorf("the end is %s, want the end of a segment", end)
		}
	})
	t.Run("also while a transaction is under way", func(t *testing.T) {
		tx, err := connect(t, primary).Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), `INSERT INTO k VALUES (1)`); err != nil {
			t.Fatal(err)
		}
		exec(t, primary, `INSERT INTO k VALUES (2)`) // its COMMIT flushes the other's record too
		wantSameEnd(t, primary, standby)
	})
	t.Run("other bytes have another hash", func(t *testing.T) {
		end, tli := walEnd(t, primary)
		from, err := postgres.FirstWAL(primary.Data, tli, end)
		if err != nil {
			t.Fatal(err)
		}
		whole := hashWAL(t, primary, tli, from, end)
		if bytes.Equal(whole, hashWAL(t, primary, tli, from+8, end)) {
			t.Error("a shorter stretch has the same hash")
		}
		// The standby's own last byte, changed behind its back: its server has read it long ago.
		path := filepath.Join(standby.Data, "pg_wal", query[string](t, primary, `SELECT pg_walfile_name($1::pg_lsn)`, end.String()))
		pgtest.FlipByte(t, path, int64((end-1)%(16<<20)))
		if bytes.Equal(whole, hashWAL(t, standby, tli, from, end)) {
			t.Error("a changed byte leaves the hash as it was")
		}
		pgtest.FlipByte(t, path, int64((end-1)%(16<<20)))
		if !bytes.Equal(whole, hashWAL(t, standby, tli, from, end)) {
			t.Error("the byte is back, the hash is not")
		}
	})
	t.Run("what is not there is gone", func(t *testing.T) {
		end, tli := walEnd(t, primary)
		for name, from := range map[string]postgres.LSN{"before the first segment": 0, "after the last": end + 1<<30} {
			if _, err := postgres.HashWAL(primary.Data, tli, from, from+100); !errors.Is(err, postgres.ErrWALGone) {
				t.Errorf("%s: %v, want ErrWALGone", name, err)
			}
		}
		if _, err := postgres.FirstWAL(primary.Data, tli, end+1<<30); !errors.Is(err, postgres.ErrWALGone) {
			t.Errorf("FirstWAL: %v, want ErrWALGone", err)
		}
	})
	t.Run("a segment that was recycled is gone", func(t *testing.T) {
		exec(t, primary, `ALTER SYSTEM SET wal_keep_size = 0`)
		exec(t, primary, `SELECT pg_reload_conf()`)
		pgtest.Await(t, "a segment made ready for later use holds old bytes", func() bool {
			exec(t, primary, `INSERT INTO k SELECT coalesce(max(id), 1) + 1 FROM k`)
			exec(t, primary, `SELECT pg_switch_wal()`)
			exec(t, primary, `CHECKPOINT`)
			end, tli := walEnd(t, primary)
			next := (end + 2<<24) &^ (1<<24 - 1)
			_, err := os.Stat(filepath.Join(primary.Data, "pg_wal", query[string](t, primary, `SELECT pg_walfile_name($1::pg_lsn + 1)`, next.String())))
			if err != nil {
				return false
			}
			if _, err := postgres.HashWAL(primary.Data, tli, next, next+100); !errors.Is(err, postgres.ErrWALGone) {
				t.Errorf("HashWAL from %s: %v, want ErrWALGone", next, err)
			}
			return true
		})
	})
	t.Run("a stopped server's log ends where it ended", func(t *testing.T) {
		end := wantSameEnd(t, primary, standby)
		stop(t, standby, postgres.Immediate)
		if again, _ := walEnd(t, standby); again != end {
			t.Errorf("the standby's log ends at %s, want %s", again, end)
		}
		stop(t, primary, postgres.Fast)
		last, tli := walEnd(t, primary)
		if last <= end {
			t.Errorf("the primary's log ends at %s, want its shutdown checkpoint after %s", last, end)
		}
		if a, b := hashWAL(t, primary, tli, end-100, end), hashWAL(t, standby, tli, end-100, end); !bytes.Equal(a, b) {
			t.Error("the logs differ")
		}
	})
	t.Run("beside segments that were made ahead and hold nothing yet", func(t *testing.T) {
		end, tli := walEnd(t, standby)
		var made []string
		for n := uint64(end)/(16<<20) + 1; len(made) < 32; n++ { // so many that the first of the directory is one of them
			path := filepath.Join(standby.Data, "pg_wal", fmt.Sprintf("%08X%08X%08X", uint32(tli), n>>8, n&0xff))
			if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 16<<20)); err != nil {
				t.Fatal(err)
			}
			made = append(made, path)
		}
		if again, _ := walEnd(t, standby); again != end {
			t.Errorf("the log ends at %s, want %s", again, end)
		}
		for _, path := range made {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("a promotion begins a timeline", func(t *testing.T) {
		if err := standby.Start(pgtest.Context(t)); err != nil {
			t.Fatal(err)
		}
		branch, _ := walEnd(t, standby)
		exec(t, standby, `SELECT pg_promote(true)`)
		if signal, err := standby.Signal(); err != nil || signal != postgres.NoSignal {
			t.Errorf("the signal is %q, %v, want none", signal, err)
		}
		end, tli := walEnd(t, standby)
		if tli != 2 || end <= branch {
			t.Errorf("the log ends at %s on timeline %s, want timeline 2 after %s", end, tli, branch)
		}
		history, err := postgres.History(standby.Data, 2)
		if err != nil || !bytes.Contains(history, []byte(branch.String())) {
			t.Errorf("the history is %q, %v, want it to name %s", history, err, branch)
		}
		// The bytes from before are found under either name.
		if a, b := hashWAL(t, standby, 2, branch-100, branch), hashWAL(t, primary, 1, branch-100, branch); !bytes.Equal(a, b) {
			t.Error("the logs differ before the branch")
		}
	})
}

// wantSameEnd waits until the standby has all that the primary has flushed, and returns where both logs end.
func wantSameEnd(t *testing.T, primary, standby *postgres.Server) postgres.LSN {
	t.Helper()
	flushed := func() string { return query[string](t, primary, `SELECT pg_current_wal_flush_lsn()::text`) }
	var end postgres.LSN
	pgtest.Await(t, "both logs end at the flushed position", func() bool {
		before := flushed()
		a, tli := walEnd(t, primary)
		b, standbyTLI := walEnd(t, standby)
		if before != flushed() {
			return false // the background writer has logged something meanwhile
		}
		end = a
		return a == b && tli == standbyTLI && a.String() == before
	})
	_, tli := walEnd(t, primary)
	from, err := postgres.FirstWAL(primary.Data, tli, end)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := hashWAL(t, primary, tli, from, end), hashWAL(t, standby, tli, from, end); !bytes.Equal(a, b) {
		t.Errorf("the logs differ between %s and %s", from, end)
	}
	return end
}

func walEnd(t *testing.T, s *postgres.Server) (postgres.LSN, postgres.Timeline) {
	t.Helper()
	end, tli, err := postgres.WALEnd(pgtest.Context(t), s.Installation, s.Data)
	if err != nil {
		t.Fatal(err)
	}
	return end, tli
}

func hashWAL(t *testing.T, s *postgres.Server, tli postgres.Timeline, from, to postgres.LSN) []byte {
	t.Helper()
	sum, err := postgres.HashWAL(s.Data, tli, from, to)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func stop(t *testing.T, s *postgres.Server, mode postgres.Mode) {
	t.Helper()
	if err := s.Stop(pgtest.Context(t), mode); err != nil {
		t.Fatal(err)
	}
}
