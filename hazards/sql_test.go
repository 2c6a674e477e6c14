package hazards_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
	"keytrustee/replication/pairtest"
)

// execute runs a statement that must succeed.
func execute(t *testing.T, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(context.Background(), sql, args...); err != nil { // also in a cleanup
		t.Fatal(fmt.Errorf("%s: %w", sql, err))
	}
}

// query returns the one value that a statement yields.
func query[T any](t *testing.T, conn *pgx.Conn, sql string, args ...any) (value T) {
	t.Helper()
	if err := conn.QueryRow(context.Background(), sql, args...).Scan(&value); err != nil {
		t.Fatal(fmt.Errorf("%s: %w", sql, err))
	}
	return value
}

// set changes a setting of the host's PostgreSQL in the way that outlives everything, until the end of the test.
func set(t *testing.T, n *pairtest.Node, name, value string) {
	t.Helper()
	conn := n.SQL(t)
	execute(t, conn, "ALTER SYSTEM SET "+name+" = '"+value+"'")
	execute(t, conn, "SELECT pg_reload_conf()")
	t.Cleanup(func() { reset(t, n, name) })
}

func reset(t *testing.T, n *pairtest.Node, name string) {
	t.Helper()
	conn := n.SQL(t)
	execute(t, conn, "ALTER SYSTEM RESET "+name)
	execute(t, conn, "SELECT pg_reload_conf()")
}

// run runs a program that must succeed.
func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// alone copies what lies on the host's disk at one instant, while its PostgreSQL stands still or is down, and opens the copy by itself: no
// network, no peer, a timeline of its own. It is what somebody finds who has this disk and nothing else.
func alone(t *testing.T, n *pairtest.Node) *pgx.Conn {
	t.Helper()
	s := pgtest.Server(t, pgtest.Options{Settings: postgres.Settings{Extra: map[string]string{"restore_command": "false"}}})
	if n.Pids[pairtest.PostgreSQL] != 0 {
		n.Freeze(t, pairtest.PostgreSQL)
	}
	run(t, "cp", "-a", n.PGData, s.Data)
	n.Thaw(t, pairtest.PostgreSQL)
	if s.RunAs != nil {
		run(t, "chown", "-R", fmt.Sprintf("%d:%d", s.RunAs.UID, s.RunAs.GID), s.Data)
	}
	for _, name := range []string{"postmaster.pid", "postgresql.auto.conf", string(postgres.StandbySignal)} {
		if err := os.RemoveAll(filepath.Join(s.Data, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.SetSignal(postgres.RecoverySignal); err != nil {
		t.Fatal(err)
	}
	pgtest.Start(t, s)
	conn, err := pgx.Connect(pgtest.Context(t), s.ConnString("keytrustee"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// onBothDisks fails the test if one of the keys is not on each host's disk, looked at alone.
func onBothDisks(t *testing.T, p *pairtest.Pair, names ...string) {
	t.Helper()
	for _, n := range p.Nodes {
		if there := keys(t, alone(t, n), names...); there != len(names) {
			t.Errorf("on the disk of the %s are %d of %d acknowledged keys", n.Name, there, len(names))
		}
	}
}

// keys counts which of them a database has.
func keys(t *testing.T, conn *pgx.Conn, names ...string) int {
	t.Helper()
	return query[int](t, conn, `SELECT count(DISTINCT k.name) FROM key k JOIN key_change c ON c.key_id = k.id JOIN key_version v ON v.key_id = k.id
		WHERE c.kind = 'created' AND v.sealed IS NOT NULL AND k.name = ANY ($1)`, names)
}
