package forgetfs

import (
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// TestPostgreSQL: a server that was killed and whose unsynced data is lost has every commit that it acknowledged. One that
// does not sync has lost them, which shows that something is forgotten at all.
func TestPostgreSQL(t *testing.T) {
	f := mounted(t, Options{Lasting: []string{"log"}})
	s := pgtest.Server(t, pgtest.Options{Dir: f.dir})
	if err := s.Init(pgtest.Context(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(pgtest.Context(t), postgres.Immediate); err != nil {
			t.Error(err)
		}
	})
	configure := func(extra map[string]string) {
		pgtest.Configure(t, s, pgtest.Options{Settings: postgres.Settings{Extra: extra}})
		if err := s.Start(pgtest.Context(t)); err != nil {
			t.Fatal(err)
		}
	}
	loss := func() {
		if err := s.Stop(pgtest.Context(t), postgres.Immediate); err != nil {
			t.Fatal(err)
		}
		f.forget(t)
	}
	configure(nil)
	exec(t, s, `CREATE TABLE t (n int)`)
	acknowledged := 0
	for _, method := range []string{"fdatasync", "open_datasync", "fsync", "open_sync"} {
		loss()
		configure(map[string]string{"wal_sync_method": method, "checkpoint_timeout": "30s"})
		for range 100 {
			exec(t, s, `INSERT INTO t VALUES (`+strconv.Itoa(acknowledged)+`)`)
			acknowledged++
		}
		exec(t, s, `CREATE TABLE `+method+` AS SELECT * FROM t`)
		exec(t, s, `CHECKPOINT`)
		exec(t, s, `INSERT INTO `+method+` VALUES (-1)`)
	}
	loss()
	configure(nil)
	for _, table := range []string{"t", "open_sync"} {
		if n := count(t, s, table); n < acknowledged {
			t.Errorf("%d of %d acknowledged rows of %s are there", n, acknowledged, table)
		}
	}
	if err := s.Stop(pgtest.Context(t), postgres.Fast); err != nil {
		t.Fatal(err)
	}
	configure(map[string]string{"fsync": "off"})
	exec(t, s, `INSERT INTO t VALUES (-1)`)
	loss()
	configure(nil)
	if n := count(t, s, "t"); n != acknowledged {
		t.Errorf("%d rows are there, of which %d were synced: a commit without fsync outlived the loss", n, acknowledged)
	}
}

func exec(t *testing.T, s *postgres.Server, statement string) {
	t.Helper()
	conn := connect(t, s)
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, s *postgres.Server, table string) (n int) {
	t.Helper()
	conn := connect(t, s)
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM `+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func connect(t *testing.T, s *postgres.Server) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(pgtest.Context(t), s.ConnString("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	return conn
}
