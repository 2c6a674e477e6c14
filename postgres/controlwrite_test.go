package postgres_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// TestControlWrite runs where every COMMIT that waits would wait for ever.
func TestControlWrite(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t, absent)
	conn := connect(t, s)
	allowed := []string{"control.epoch"}
	write := func(sql ...string) error {
		return postgres.ControlWrite(pgtest.Context(t), conn, allowed, func(tx pgx.Tx) error {
			for _, statement := range sql {
				if _, err := tx.Exec(pgtest.Context(t), statement); err != nil {
					return err
				}
			}
			return nil
		})
	}
	rows := func(table string) int { return query[int](t, s, `SELECT count(*) FROM `+table) }

	if err := write(`CREATE SCHEMA control`, `CREATE TABLE control.epoch (n int)`, `CREATE TABLE keys (n int)`); err != nil {
		t.Fatal(err)
	}
	if err := write(`INSERT INTO control.epoch VALUES (1)`); err != nil {
		t.Fatal(err)
	}
	if n := rows("control.epoch"); n != 1 {
		t.Errorf("%d rows of the allowed table, want 1", n)
	}
	for name, sql := range map[string][]string{
		"insert":           {`INSERT INTO control.epoch VALUES (2)`, `INSERT INTO keys VALUES (1)`},
		"copy of a select": {`INSERT INTO keys SELECT n FROM control.epoch`},
		"in a savepoint":   {`SAVEPOINT a`, `INSERT INTO keys VALUES (1)`, `RELEASE a`},
	} {
		err := write(sql...)
		if err == nil || !strings.Contains(err.Error(), "public.keys") {
			t.Errorf("%s: %v, want public.keys named", name, err)
		}
		if k, e := rows("keys"), rows("control.epoch"); k != 0 || e != 1 {
			t.Errorf("%s: %d keys and %d epochs, want 0 and 1", name, k, e)
		}
	}
	broken := errors.New("broken")
	err := postgres.ControlWrite(pgtest.Context(t), conn, allowed, func(tx pgx.Tx) error {
		if _, err := tx.Exec(pgtest.Context(t), `INSERT INTO control.epoch VALUES (3)`); err != nil {
			return err
		}
		return broken
	})
	if !errors.Is(err, broken) || rows("control.epoch") != 1 {
		t.Errorf("fn's error: %v, %d rows, want it and 1", err, rows("control.epoch"))
	}
	err = postgres.ControlWrite(pgtest.Context(t), conn, allowed, func(tx pgx.Tx) error { return tx.Commit(pgtest.Context(t)) })
	if err == nil {
		t.Error("fn can commit")
	}
}
