package pairtest

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"keytrustee/postgres"
)

// Position is how far the node's database is: what it has written for good, or on a standby replayed.
func (n *Node) Position(t testing.TB) postgres.LSN {
	t.Helper()
	var text string
	err := n.SQL(t).QueryRow(t.Context(), `SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END)::text`).Scan(&text)
	if err != nil {
		t.Fatal(err)
	}
	lsn, err := postgres.ParseLSN(text)
	if err != nil {
		t.Fatal(err)
	}
	return lsn
}

// AwaitReplay returns when the passive has replayed what the active had written.
func (p *Pair) AwaitReplay(t testing.TB) {
	t.Helper()
	end := p.Active.Position(t)
	passive := p.Passive.SQL(t)
	Await(t, 10*time.Second, "the passive has replayed everything", func() bool {
		var there bool
		err := passive.QueryRow(t.Context(), "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", end.String()).Scan(&there)
		return err == nil && there
	})
}

// Settle makes everything that the hosts have written reach their files, so that nothing is left to do on the passive once the active is
// down. What a stopped active writes last is a checkpoint, which changes nothing but the passive's log.
func (p *Pair) Settle(t testing.TB) {
	t.Helper()
	checkpoint := func(n *Node) {
		if _, err := n.SQL(t).Exec(t.Context(), "CHECKPOINT"); err != nil {
			t.Fatal(err)
		}
	}
	checkpoint(p.Active)
	p.AwaitReplay(t)
	checkpoint(p.Passive)
}

// SameContents fails the test if a table of the two databases differs, once the passive has replayed what the active had written.
func (p *Pair) SameContents(t testing.TB) {
	t.Helper()
	p.AwaitReplay(t)
	here, there := p.Active.tables(t), p.Passive.tables(t)
	if len(here) == 0 {
		t.Fatal("the active's database has no table")
	}
	for _, name := range slices.Sorted(maps.Keys(here)) {
		if here[name] != there[name] {
			t.Errorf("table %s differs: %v on %s, %v on %s", name, here[name], p.Active.Name, there[name], p.Passive.Name)
		}
	}
	if len(here) != len(there) {
		t.Errorf("%d tables on %s, %d on %s", len(here), p.Active.Name, len(there), p.Passive.Name)
	}
}

// table is what a table holds: how many rows, and a hash of all of them.
type table struct {
	rows int
	hash string
}

func (n *Node) tables(t testing.TB) map[string]table {
	t.Helper()
	conn := n.SQL(t)
	rows, err := conn.Query(t.Context(), "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')")
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]table{}
	for _, name := range names {
		var c table
		err := conn.QueryRow(t.Context(), `SELECT count(*), coalesce(encode(sha256(convert_to(string_agg(r, E'\n' ORDER BY r), 'UTF8')), 'hex'), '')
			FROM (SELECT x::text AS r FROM `+name+" x) AS rows").Scan(&c.rows, &c.hash)
		if err != nil {
			t.Fatalf("reading %s on %s: %v", name, n.Name, err)
		}
		found[name] = c
	}
	return found
}

// Rows is how many rows a table has on the node.
func (n *Node) Rows(t testing.TB, table string) (rows int) {
	t.Helper()
	if err := n.SQL(t).QueryRow(t.Context(), "SELECT count(*) FROM "+table).Scan(&rows); err != nil {
		t.Fatal(err)
	}
	return rows
}
