package pairtest

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Corrupt changes a page of a table on the node's disk, behind its PostgreSQL, which is restarted. Nothing writes that page anew: it is on the
// disk before, with all that a reader or a vacuum would note in it, so that neither the log nor the pair's active has it once more.
func (n *Node) Corrupt(t testing.TB, table string, block int64) {
	t.Helper()
	one := func(n *Node, value any, statements ...string) {
		t.Helper()
		conn, err := n.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		last := len(statements) - 1
		for _, sql := range statements[:last] {
			if _, err := conn.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
		if err := conn.QueryRow(t.Context(), statements[last]).Scan(value); err != nil {
			t.Fatal(err)
		}
	}
	var end, path string
	one(n.pair.Active, &end, "vacuum "+table, "checkpoint", "select pg_current_wal_flush_lsn()::text")
	if n != n.pair.Active {
		Await(t, 10*time.Second, n.Name+" has replayed the checkpoint", func() (there bool) {
			one(n, &there, "select pg_last_wal_replay_lsn() >= '"+end+"'")
			return there
		})
	}
	one(n, &path, "checkpoint", "select pg_relation_filepath('"+table+"')")
	n.Stop(t, PostgreSQL)
	f, err := os.OpenFile(filepath.Join(n.PGData, path), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	page, at := make([]byte, 64), block*8192+4096
	if _, err := f.ReadAt(page, at); err != nil {
		t.Fatal(err)
	}
	for i := range page {
		page[i] ^= 0x55
	}
	if _, err := f.WriteAt(page, at); err != nil {
		t.Fatal(err)
	}
	n.Start(t, PostgreSQL)
	t.Logf("corrupted: block %d of %s on %s, in %s", block, table, n.Name, path)
}
