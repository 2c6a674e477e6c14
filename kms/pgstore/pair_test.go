package pgstore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"keytrustee/kms"
	"keytrustee/kms/kmstest"
	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

const standbyName = "kt_test"

// pair is two real servers: the active, whose commits wait for the passive, and the passive.
type pair struct {
	*testing.T
	active, passive *postgres.Server
	horizon         *horizon
	settings        postgres.Settings
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{T: t, settings: postgres.Settings{SynchronousStandbyNames: standbyName}}
	p.active = pgtest.New(t, pgtest.Options{})
	if err := Migrate(pgtest.Context(t), p.active.ConnString("postgres")); err != nil {
		t.Fatal(err)
	}
	p.passive = pgtest.Clone(t, p.active, standbyName, pgtest.Options{})
	pgtest.Configure(t, p.active, pgtest.Options{Settings: p.settings})
	if err := p.active.Reload(pgtest.Context(t)); err != nil {
		t.Fatal(err)
	}
	p.horizon = &horizon{active: p.pool(p.active), passive: p.pool(p.passive)}
	pgtest.Await(p, "the passive is synchronous", func() bool {
		var n int
		err := p.horizon.active.QueryRow(t.Context(), "select count(*) from pg_stat_replication where sync_state = 'sync'").Scan(&n)
		return err == nil && n == 1
	})
	p.horizon.confirm(t)
	return p
}

func (p *pair) pool(s *postgres.Server) *pgxpool.Pool {
	p.Helper()
	pool, err := postgres.NewPool(context.Background(), postgres.PoolConfig{ConnString: s.ConnString("postgres")})
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(pool.Close)
	return pool
}

// store opens a Store on connString and closes it at the end.
func (p *pair) store(connString string) *Store {
	p.Helper()
	s, err := New(Config{ConnString: connString, Horizon: p.horizon, Host: "kt01"})
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(s.Close)
	return s
}

// freeze stops every process of the passive; thaw, or the test's end, lets them go on.
func (p *pair) freeze() {
	p.Helper()
	p.Cleanup(func() {
		if _, running := p.passive.Pid(); running {
			p.thaw() // a frozen server could not be stopped
		}
	})
	p.signalAll(p.passive, syscall.SIGSTOP)
}

func (p *pair) thaw() {
	p.Helper()
	p.signalAll(p.passive, syscall.SIGCONT)
}

func (p *pair) signalAll(s *postgres.Server, sig syscall.Signal) {
	p.Helper()
	postmaster, running := s.Pid()
	if !running {
		p.Fatal("the server does not run")
	}
	pids := append(children(p.T, postmaster), postmaster)
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil {
			p.Fatalf("signal %v to process %d: %v", sig, pid, err)
		}
	}
}

func children(t *testing.T, parent int) (pids []int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it ended meanwhile
		}
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if ppid, _ := strconv.Atoi(fields[1]); ppid == parent {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

func (p *pair) stopPassive() {
	p.Helper()
	if err := p.passive.Stop(pgtest.Context(p.T), postgres.Immediate); err != nil {
		p.Fatal(err)
	}
}

func (p *pair) startPassive() {
	p.Helper()
	if err := p.passive.Start(pgtest.Context(p.T)); err != nil {
		p.Fatal(err)
	}
}

// horizon is what replication.Horizon is to the daemon, without a pair of daemons: it asks the standby itself.
type horizon struct {
	active, passive *pgxpool.Pool

	mu        sync.Mutex
	visible   postgres.Visibility
	uncertain error
}

// Await returns when the standby has replayed the position and shows every row.
func (h *horizon) Await(ctx context.Context, xid postgres.XID, at postgres.LSN, rows [][16]byte) error {
	for {
		ok, err := h.proven(ctx, at, rows)
		if err == nil && ok {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.visible.Acknowledged = append(h.visible.Acknowledged, xid)
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (h *horizon) proven(ctx context.Context, at postgres.LSN, rows [][16]byte) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var replayed bool
	if err := h.passive.QueryRow(ctx, "select coalesce(pg_last_wal_replay_lsn(), pg_current_wal_flush_lsn()) >= $1::text::pg_lsn", at.String()).Scan(&replayed); err != nil || !replayed {
		return false, err
	}
	for _, row := range rows {
		var there bool
		err := h.passive.QueryRow(ctx, "select exists (select from key_version where id = $1) or exists (select from key_change where id = $1)", row).Scan(&there)
		if err != nil || !there {
			return false, err
		}
	}
	return true, nil
}

func (h *horizon) Visibility() (postgres.Visibility, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	v := h.visible
	v.Acknowledged = append([]postgres.XID(nil), v.Acknowledged...)
	return v, h.uncertain
}

func (h *horizon) setUncertain(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.uncertain = err
}

// confirm makes what the active shows now the confirmed snapshot, once the standby has replayed it.
func (h *horizon) confirm(t *testing.T) {
	t.Helper()
	ctx := pgtest.Context(t)
	var snapshot, at string
	// The message is flushed by a transaction that waits for nobody.
	tx, err := h.active.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(ctx)
	if err := tx.QueryRow(ctx, "select pg_current_snapshot()::text").Scan(&snapshot); err != nil {
		t.Fatal(err)
	}
	if err := tx.QueryRow(ctx, "select pg_current_wal_insert_lsn()::text").Scan(&at); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{"set local synchronous_commit = local", "select pg_logical_emit_message(true, 'test', '')"} {
		if _, err := tx.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	lsn, err := postgres.ParseLSN(at)
	if err != nil {
		t.Fatal(err)
	}
	for {
		if ok, err := h.proven(ctx, lsn, nil); err == nil && ok {
			break
		} else if ctx.Err() != nil {
			t.Fatalf("the standby did not replay %s: %v", at, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	parsed, err := postgres.ParseSnapshot(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.visible = postgres.Visibility{Snapshot: parsed}
}

var sealer = kmstest.NewSealer()

// newKey returns all that Apply needs to create a key of that name.
func newKey(t *testing.T, name kms.KeyName) (kms.Change, kms.Key, kms.SealedVersion) {
	t.Helper()
	k := kms.Key{ID: kms.NewID(), CreatedBy: "alice", Metadata: kms.Metadata{Name: name, Cipher: "AES/CTR/NoPadding", BitLength: 128,
		Attributes: map[string]string{}, Created: time.Now().UTC().Truncate(time.Millisecond), Versions: 1}}
	c := kms.Change{ID: kms.NewID(), KeyID: k.ID, Kind: kms.Created, Version: kms.NewID(), At: k.Created, By: "alice"}
	v, err := sealer.Seal(kms.VersionRef{ID: c.Version, KeyID: k.ID, Key: name, Name: kms.NthVersionName(name, 0), Cipher: k.Cipher},
		kms.NewMaterial([]byte("0123456789abcdef")))
	if err != nil {
		t.Fatal(err)
	}
	k.Last, v.Created = c, c
	return c, k, v
}

// create makes a key in a goroutine and returns where its outcome will come.
func create(ctx context.Context, t *testing.T, s *Store, name kms.KeyName) <-chan error {
	t.Helper()
	c, k, v := newKey(t, name)
	result := make(chan error, 1)
	go func() { result <- s.Apply(ctx, c, &k, &v) }()
	return result
}

func mustCreate(t *testing.T, s *Store, name kms.KeyName) {
	t.Helper()
	if err := <-create(t.Context(), t, s, name); err != nil {
		t.Fatalf("creating %s: %v", name, err)
	}
}

// count is the number of rows of that key on a server, whatever any filter says; -1 if it can not be read.
func count(pool *pgxpool.Pool, name kms.KeyName) int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	n := -1
	if pool.QueryRow(ctx, "select count(*) from key where name = $1", string(name)).Scan(&n) != nil {
		return -1
	}
	return n
}

var errUncertain = fmt.Errorf("not compared with the peer yet")
