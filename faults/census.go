package faults

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
	"keytrustee/replication/pairtest"
)

// keysOf reads what a database holds, whatever its host would show of it.
func keysOf(ctx context.Context, conn *pgx.Conn) (map[string]Key, error) {
	const all = `SELECT k.name, (SELECT count(*) FROM key_version v WHERE v.key_id = k.id),
		(SELECT c.kind FROM key_change c WHERE c.key_id = k.id ORDER BY c.seq DESC LIMIT 1) = 'deleted' FROM key k`
	rows, err := conn.Query(ctx, all)
	if err != nil {
		return nil, err
	}
	keys := map[string]Key{}
	var name string
	var key Key
	_, err = pgx.ForEachRow(rows, []any{&name, &key.Versions, &key.Deleted}, func() error {
		keys[name] = key
		return nil
	})
	return keys, err
}

// survivor records what the host's database holds.
func survivor(t testing.TB, n *pairtest.Node, record *Recorder) {
	t.Helper()
	census := Event{Kind: Census, Source: OnSurvivor, Host: n.Name, At: record.Now()}
	conn, err := n.Connect(t.Context())
	if err != nil {
		t.Fatalf("the survivor's database: %v", err)
	}
	defer conn.Close(context.Background())
	if census.Keys, err = keysOf(t.Context(), conn); err != nil {
		t.Fatalf("the survivor's database: %v", err)
	}
	census.Until = record.Now()
	record.Event(census)
}

// lookAtBoth lets all of both hosts stand still and copies their data. When all goes on again, each copy is started alone, and what it holds
// is recorded.
func lookAtBoth(m *nemesis, _ Step) effect {
	at := m.record.Now() // nothing that is acknowledged from here on needs to be there
	for _, n := range m.pair.Nodes {
		n.Freeze(m.t)
	}
	frozen := m.record.Now()
	dirs := map[*pairtest.Node]string{}
	for _, n := range m.pair.Nodes {
		dirs[n] = pgtest.Dir(m.t)
		if out, err := exec.Command("cp", "-a", n.PGData, dirs[n]+"/copy").CombinedOutput(); err != nil {
			m.t.Fatalf("copying the data of %s: %v\n%s", n.Name, err, out)
		}
	}
	until := m.record.Now()
	return effect{touched: m.pair.Nodes, since: frozen, severed: true, // a busy machine copies for seconds
		lift: func() {
			for _, n := range m.pair.Nodes {
				n.Thaw(m.t)
			}
		},
		then: func() {
			for _, n := range m.pair.Nodes {
				m.record.Event(Event{Kind: Census, Source: OnDisk, Host: n.Name, At: at, Until: until, Keys: alone(m.t, dirs[n])})
			}
		}}
}

// alone starts the copy in dir as what it was, with no way to anybody, and returns what it holds when it has replayed all of its own log.
func alone(t testing.TB, dir string) map[string]Key {
	t.Helper()
	defer os.RemoveAll(dir)
	s := pgtest.Server(t, pgtest.Options{Dir: dir})
	command := fmt.Sprintf("rm -rf %[2]s && mv %[1]s/copy %[2]s && rm -f %[2]s/postmaster.pid && chmod 700 %[2]s", dir, s.Data)
	if u := pgtest.User(t); u != nil {
		command += fmt.Sprintf(" && chown -R %d:%d %s", u.UID, u.GID, s.Data)
	}
	if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	end, _, err := postgres.WALEnd(pgtest.Context(t), s.Installation, s.Data)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(pgtest.Context(t)); err != nil {
		t.Fatalf("starting a copy of a host's disk: %v", err)
	}
	defer s.Stop(pgtest.Context(t), postgres.Immediate)
	conn, err := pgx.Connect(t.Context(), s.ConnString("keytrustee"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	const replayed = `SELECT NOT pg_is_in_recovery() OR pg_last_wal_replay_lsn() >= $1::pg_lsn`
	pairtest.Await(t, 20*time.Second, "a copy of a host's disk has replayed its log", func() (done bool) {
		return conn.QueryRow(t.Context(), replayed, end.String()).Scan(&done) == nil && done
	})
	keys, err := keysOf(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// atTheEnd records what both hosts serve when everything is over: every version of every key that is not deleted, opened.
func atTheEnd(t testing.TB, p *pairtest.Pair, hosts []Host, newCaller func() *caller, record *Recorder) {
	t.Helper()
	for i, n := range p.Nodes {
		census := Event{Kind: Census, Source: AtTheEnd, Host: n.Name, At: record.Now()}
		conn, err := n.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		keys, err := keysOf(t.Context(), conn)
		conn.Close(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		census.Keys = opened(t, keys, hosts[i], newCaller)
		census.Until = record.Now()
		record.Event(census)
	}
}

// opened asks the host for every version of the keys that it would show.
func opened(t testing.TB, keys map[string]Key, host Host, newCaller func() *caller) map[string]Key {
	t.Helper()
	names := make(chan string, len(keys))
	for name := range keys {
		names <- name
	}
	close(names)
	var mu sync.Mutex // guards all
	all := map[string]Key{}
	var readers sync.WaitGroup
	for range 4 {
		c := newCaller()
		readers.Go(func() {
			for name := range names {
				key := keys[name]
				if !key.Deleted {
					o := c.deliver(t.Context(), host, wish{kind: Versions, key: name})
					for _, v := range o.Served {
						key.Hashes = append(key.Hashes, v.Hash)
					}
				}
				mu.Lock()
				all[name] = key
				mu.Unlock()
			}
		})
	}
	readers.Wait()
	return all
}
