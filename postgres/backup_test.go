package postgres_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

func TestBaseBackup(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t, pgtest.Options{})
	prepare(t, s)
	options := func(t *testing.T) postgres.BaseBackupOptions {
		return postgres.BaseBackupOptions{
			ConnString: s.ConnString("postgres"), Target: filepath.Join(pgtest.Dir(t), "copy"), RunAs: s.RunAs,
		}
	}
	backup := func(t *testing.T, o postgres.BaseBackupOptions) {
		t.Helper()
		if err := postgres.BaseBackup(pgtest.Context(t), s.Installation, o, nil); err != nil {
			t.Fatal(err)
		}
	}
	verify := func(t *testing.T, dir string) error {
		return postgres.VerifyBackup(pgtest.Context(t), s.Installation, dir, s.RunAs)
	}

	t.Run("a copy is whole, and its progress ends at the end", func(t *testing.T) {
		o := options(t)
		o.Slot, o.CreateSlot = "kt_copy", true
		var done, total int64
		err := postgres.BaseBackup(pgtest.Context(t), s.Installation, o, func(d, n int64) { done, total = d, n })
		if err != nil {
			t.Fatal(err)
		}
		if done < 1<<20 || done != total {
			t.Errorf("the progress ends at %d of %d", done, total)
		}
		if err := verify(t, o.Target); err != nil {
			t.Error(err)
		}
		if name := query[string](t, s, `SELECT slot_name FROM pg_replication_slots`); name != o.Slot {
			t.Errorf("the slot is %q, want %q", name, o.Slot)
		}
		for _, name := range []string{"postgresql.conf", "pg_hba.conf"} {
			if _, err := os.Stat(filepath.Join(o.Target, name)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the copy holds %s: %v", name, err)
			}
		}
	})
	t.Run("a flipped byte is found, and its file named", func(t *testing.T) {
		o := options(t)
		backup(t, o)
		const file = "global/1260" // pg_authid
		pgtest.FlipByte(t, filepath.Join(o.Target, file), 100)
		err := verify(t, o.Target)
		damage, ok := errors.AsType[*postgres.DamageError](err)
		if !ok || !slices.Equal(damage.Files, []string{file}) || !strings.Contains(err.Error(), file) {
			t.Errorf("verifying: %v, want %s named", err, file)
		}
	})
	t.Run("a missing log is found", func(t *testing.T) {
		o := options(t)
		backup(t, o)
		segments, err := filepath.Glob(filepath.Join(o.Target, "pg_wal", "0000*"))
		if err != nil || len(segments) == 0 {
			t.Fatal(segments, err)
		}
		if err := os.Remove(segments[0]); err != nil {
			t.Fatal(err)
		}
		if damage, ok := errors.AsType[*postgres.DamageError](verify(t, o.Target)); !ok || !strings.Contains(damage.Text, "WAL") {
			t.Errorf("verifying: %v, want the log named", damage)
		}
	})
	t.Run("a directory that is not empty stays as it is", func(t *testing.T) {
		o := options(t)
		if err := os.Mkdir(o.Target, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(o.Target, "mine"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		wantSetupError(t, postgres.BaseBackup(pgtest.Context(t), s.Installation, o, nil), o.Target+" is not empty")
		if entries, err := os.ReadDir(o.Target); err != nil || len(entries) != 1 || entries[0].Name() != "mine" {
			t.Errorf("the directory holds %v, %v", entries, err)
		}
	})
	t.Run("a failure leaves nothing", func(t *testing.T) {
		o := options(t)
		o.Slot = "kt_absent" // found out when the log is streamed, after the copy has begun
		err := postgres.BaseBackup(pgtest.Context(t), s.Installation, o, nil)
		if err == nil || !strings.Contains(err.Error(), o.Slot) {
			t.Errorf("copying: %v, want the slot named", err)
		}
		if _, err := os.Stat(o.Target); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the target is there: %v", err)
		}
	})
	t.Run("a context that ends leaves nothing", func(t *testing.T) {
		o := options(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := postgres.BaseBackup(ctx, s.Installation, o, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("copying: %v", err)
		}
		if _, err := os.Stat(o.Target); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the target is there: %v", err)
		}
	})
}

// wantSetupError checks for a *SetupError with that in its sentence, and with a hint.
func wantSetupError(t *testing.T, err error, sentence string) {
	t.Helper()
	setup, ok := errors.AsType[*postgres.SetupError](err)
	if !ok || !strings.Contains(setup.Error(), sentence) || setup.Hint() == "" {
		t.Errorf("the error is %v, want %q with a hint", err, sentence)
	}
}
