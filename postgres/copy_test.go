package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// TestCopyTable: a copy has every row, in the order in which they lie, and each value as it was; one that was cut off anywhere is never taken
// for a whole one.
func TestCopyTable(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	ctx := pgtest.Context(t)
	s := pgtest.New(t, pgtest.Options{})
	exec(t, s, `SET synchronous_commit = local; CREATE TABLE "Odd name" (a bytea, b text, c int); CREATE TABLE none (a int);
		INSERT INTO "Odd name" VALUES ('\x00ff', NULL, 1), ('', '', NULL), (NULL, repeat('x', 200000), -2)`)
	conn, err := pgx.Connect(ctx, s.ConnString("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	copied := func(table string) []byte {
		t.Helper()
		var b bytes.Buffer
		err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			_, err := postgres.CopyTable(ctx, conn, table, &b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	whole := copied("Odd name")
	want := [][][]byte{
		{{0, 0xff}, nil, {0, 0, 0, 1}},
		{{}, {}, nil},
		{nil, bytes.Repeat([]byte("x"), 200_000), {0xff, 0xff, 0xff, 0xfe}},
	}
	if got, err := rowsOf(whole); err != nil || !cmp.Equal(want, got) {
		t.Errorf("%v (-want +got):\n%s", err, cmp.Diff(want, got))
	}
	if got, err := rowsOf(copied("none")); err != nil || len(got) != 0 {
		t.Errorf("of a table without rows: %v, %v", got, err)
	}

	small := append(bytes.Clone(whole[:len(whole)-200_000-4-2-2-4-4-4]), 0xff, 0xff) // the first two rows
	if got, err := rowsOf(small); err != nil || !cmp.Equal(want[:2], got) {
		t.Errorf("the first two: %v, %v", got, err)
	}
	for n := 1; n < len(small); n++ {
		if got, err := rowsOf(small[:n]); !errors.Is(err, io.ErrUnexpectedEOF) || len(got) > 2 {
			t.Errorf("cut off after %d bytes: %d rows, %v", n, len(got), err)
		}
	}
	if _, err := rowsOf(whole[:len(whole)-1000]); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut off in a long value: %v", err)
	}
	for name, text := range map[string][]byte{
		"another signature":     append([]byte("PGCOPY\n\xff\r\n\x01"), small[11:]...),
		"with the old oids":     append(append(bytes.Clone(small[:11]), 0, 1), small[13:]...),
		"a length below -1":     append(bytes.Clone(small[:19]), 0, 1, 0xff, 0xff, 0xff, 0xfe),
		"a number below -1":     append(bytes.Clone(small[:19]), 0xff, 0xfe),
		"more than the end":     append(bytes.Clone(small), 0),
		"a length and no value": append(bytes.Clone(small[:19]), 0, 1, 0x7f, 0xff, 0xff, 0xff),
	} {
		if _, err := rowsOf(text); err == nil {
			t.Errorf("%s is taken", name)
		}
	}

	exec(t, s, `DROP TABLE none`)
	if got, err := rowsOf(copied("none")); err != nil || len(got) != 0 {
		t.Errorf("of a table that is not there: %v, %v", got, err)
	}
	exec(t, s, `CREATE VIEW none AS SELECT 1`)
	if _, err := postgres.CopyTable(ctx, conn, "none", io.Discard); err == nil || !strings.HasPrefix(err.Error(), "copying the table none: ") {
		t.Errorf("what is no table: %v", err)
	}
}

func rowsOf(copied []byte) (rows [][][]byte, err error) {
	r := postgres.NewCopyReader(bytes.NewReader(copied))
	for {
		values, err := r.Next()
		if err == io.EOF {
			_, err = r.Next()
			if err == io.EOF {
				err = nil
			}
			return rows, err
		} else if err != nil {
			return rows, err
		}
		var row [][]byte
		for _, v := range values {
			row = append(row, bytes.Clone(v))
		}
		rows = append(rows, row)
	}
}
