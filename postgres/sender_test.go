package postgres_test

import (
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// TestBackupSenders: of a standby it is known what sends a base backup; of a primary that is nobody's.
func TestBackupSenders(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	primary := pgtest.New(t, pgtest.Options{})
	prepare(t, primary)
	standby := pgtest.Clone(t, primary, "kt_standby", pgtest.Options{})
	for name, s := range map[string]*postgres.Server{"primary": primary, "standby": standby} {
		ctx := pgtest.Context(t)
		conn, err := pgx.Connect(ctx, s.ConnString("postgres"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx)
		looked := false
		err = s.StreamBaseBackup(ctx, until{"", func() {
			if looked {
				return
			}
			looked = true
			sends := query[[]int](t, s, `SELECT coalesce(array_agg(pid), '{}') FROM pg_stat_activity WHERE application_name = 'pg_basebackup'`)
			pids, err := postgres.BackupSenders(ctx, conn)
			if err != nil || len(sends) != 1 || slices.Contains(pids, sends[0]) != (name == "standby") {
				t.Errorf("%s: %v sends, told are %v, %v", name, sends, pids, err)
			}
		}})
		if err != nil || !looked {
			t.Errorf("%s: %v, looked %v", name, err, looked)
		}
	}
}
