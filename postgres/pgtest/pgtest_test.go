package pgtest

import (
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestNew(t *testing.T) {
	s := New(t, Options{})
	conn, err := pgx.Connect(Context(t), s.ConnString("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(Context(t), `CREATE TABLE t (n int); INSERT INTO t VALUES (1)`); err != nil {
		t.Fatal(err)
	}
}
