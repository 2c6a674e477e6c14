package replication_test

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"keytrustee/postgres"
	"keytrustee/replication"
)

// prover proves rows of the table item, and a root key that lies in a file.
type prover struct {
	path string
	pool *pgxpool.Pool
}

func newProver(t *testing.T, s *postgres.Server, root []byte) *prover {
	path := filepath.Join(t.TempDir(), "root")
	if err := os.WriteFile(path, root, 0o600); err != nil {
		t.Fatal(err)
	}
	pool, err := postgres.NewPool(t.Context(), postgres.PoolConfig{ConnString: s.ConnString("postgres"), ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return &prover{path, pool}
}

func (p *prover) mac(parts ...[]byte) ([]byte, error) {
	root, err := os.ReadFile(p.path)
	if err != nil {
		return nil, err
	}
	h := hmac.New(sha256.New, root)
	for _, part := range parts {
		fmt.Fprintf(h, "%d:", len(part))
		h.Write(part)
	}
	return h.Sum(nil), nil
}

func (p *prover) ProveRoot(_ context.Context, challenge []byte) ([]byte, error) {
	return p.mac([]byte("root"), challenge)
}

func (p *prover) Prove(ctx context.Context, rows [][16]byte, bind []byte) ([][]byte, error) {
	var proofs [][]byte
	for _, id := range rows {
		var material []byte
		if err := p.pool.QueryRow(ctx, "select material from item where id = $1", id).Scan(&material); err != nil {
			return nil, fmt.Errorf("reading row %x: %w", id, err)
		}
		proof, err := p.mac(id[:], material, bind)
		if err != nil {
			return nil, err
		}
		proofs = append(proofs, proof)
	}
	return proofs, nil
}

// writer makes writes as the key store does, and remembers what became of each.
type writer struct {
	host *host
	pool *pgxpool.Pool
	life context.Context

	mu     sync.Mutex // guards what follows
	writes map[[16]byte]*write
	wg     sync.WaitGroup
}

type write struct {
	id      [16]byte
	xid     postgres.XID
	refused error // by the gate, or before COMMIT: nothing was attempted
	acked   bool
	ended   error // of the waiting
}

func (h *host) newWriter() *writer {
	h.t.Helper()
	life, end := context.WithCancel(context.Background())
	w := &writer{host: h, life: life, writes: map[[16]byte]*write{}}
	var err error
	w.pool, err = postgres.NewPool(life, postgres.PoolConfig{ConnString: h.server.ConnString("postgres"), MaxConns: 16, Sealed: true})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { end(); w.wg.Wait(); go w.pool.Close() })
	return w
}

// begin makes one write and returns it when it has passed COMMIT's sending or was refused. done is closed when it is
// settled: acknowledged, or known to have failed; perhaps never.
func (w *writer) begin() (wr *write, done chan struct{}) {
	wr, done = &write{}, make(chan struct{})
	rand.Read(wr.id[:])
	monitor := w.host.monitor
	inside, leave, err := monitor.Gate().Enter(w.life)
	if err != nil {
		wr.refused = err
		close(done)
		return wr, done
	}
	conn, tx, err := w.insert(inside, wr)
	leave()
	if err != nil {
		wr.refused = err
		close(done)
		return wr, done
	}
	w.mu.Lock()
	w.writes[wr.id] = wr
	w.mu.Unlock()
	w.wg.Go(func() {
		defer close(done)
		answer := make(chan error, 1)
		go func() { // COMMIT has a life of its own
			answer <- tx.Commit(context.Background())
			conn.Release()
		}()
		var committed error
		select {
		case committed = <-answer:
		case <-w.life.Done():
			return
		}
		// Whatever COMMIT said, the horizon is asked: acknowledging is its decision alone.
		at, err := w.position(wr.xid)
		if err == nil {
			err = monitor.Horizon().Await(w.life, wr.xid, at, [][16]byte{wr.id})
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		wr.acked, wr.ended = err == nil, errors.Join(err, committed)
	})
	return wr, done
}

// insert does all of a write but its COMMIT.
func (w *writer) insert(ctx context.Context, wr *write) (*pgxpool.Conn, pgx.Tx, error) {
	conn, tx, err := w.tryInsert(ctx, wr)
	if err == nil || ctx.Err() != nil {
		return conn, tx, err
	}
	w.pool.Reset() // its connections were of an earlier start
	return w.tryInsert(ctx, wr)
}

func (w *writer) tryInsert(ctx context.Context, wr *write) (*pgxpool.Conn, pgx.Tx, error) {
	conn, err := w.pool.Acquire(ctx)
	if err != nil {
		return nil, nil, err
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		conn.Release()
		return nil, nil, err
	}
	var xid string
	material := make([]byte, 32)
	rand.Read(material)
	_, err = tx.Exec(ctx, "set local synchronous_commit = remote_apply")
	if err == nil {
		err = tx.QueryRow(ctx, "insert into item values ($1, pg_current_xact_id(), $2) returning xid::text", wr.id, material).Scan(&xid)
	}
	if err == nil {
		wr.xid, err = postgres.ParseXID(xid)
	}
	if err != nil {
		tx.Rollback(context.Background())
		conn.Release()
		return nil, nil, err
	}
	return conn, tx, nil
}

// position waits until the transaction is committed, as far as this server knows, and returns a position behind it.
func (w *writer) position(xid postgres.XID) (postgres.LSN, error) {
	for w.life.Err() == nil {
		ctx, cancel := context.WithTimeout(w.life, 2*time.Second)
		var status, at string
		err := w.pool.QueryRow(ctx, "select coalesce(pg_xact_status($1::text::xid8), 'gone'), pg_current_wal_flush_lsn()::text", xid.String()).Scan(&status, &at)
		cancel()
		switch {
		case err == nil && status == "committed":
			return postgres.ParseLSN(at)
		case err == nil && status == "aborted":
			return 0, errors.New("aborted")
		}
		select {
		case <-w.life.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	return 0, w.life.Err()
}

// must makes a write that is acknowledged.
func (w *writer) must() *write {
	w.host.t.Helper()
	wr, done := w.begin()
	if wr.refused != nil {
		w.host.t.Fatal(wr.refused)
	}
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		w.host.t.Fatalf("a write is not acknowledged after 20 s; %v", w.host.monitor.Report().Sentence)
	}
	if !wr.acked {
		w.host.t.Fatalf("a write is not acknowledged: %v", wr.ended)
	}
	return wr
}

// shown returns which items the host may show now.
func (h *host) shown() (map[[16]byte]bool, error) {
	v, why := h.monitor.Horizon().Visibility()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, h.server.ConnString("postgres"))
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, "select id, xid::text from item")
	if err != nil {
		return nil, err
	}
	items := map[[16]byte]bool{}
	var id [16]byte
	var text string
	_, err = pgx.ForEachRow(rows, []any{&id, &text}, func() error {
		xid, err := postgres.ParseXID(text)
		if v.Shows(xid) {
			items[id] = true
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return items, why
}

// check holds what was acknowledged against what the host shows: all of it, and of the rest nothing that is in ghosts.
func (w *writer) check(h *host, ghosts ...*write) {
	t := w.host.t
	t.Helper()
	var items map[[16]byte]bool
	var why error
	await(t, "answer to a reader", func() error {
		items, why = h.shown()
		if items == nil || why != nil && h.state.Current().Duty == replication.Passive {
			return why
		}
		return nil
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	n, missing := 0, []postgres.XID{}
	for id, wr := range w.writes {
		if wr.acked {
			n++
			if !items[id] {
				missing = append(missing, wr.xid)
			}
		}
	}
	if len(missing) > 0 {
		t.Errorf("%s does not show %d of %d acknowledged items: xids %v (%v)", h.name, len(missing), n, missing, why)
	}
	for _, g := range ghosts {
		if g.acked {
			t.Errorf("the write of xid %s was acknowledged", g.xid)
		}
		if items[g.id] {
			t.Errorf("%s shows the unreplicated item of xid %s", h.name, g.xid)
		}
	}
	t.Logf("%s shows all %d acknowledged items, and none of %d ghosts (uncertain: %v)", h.name, n, len(ghosts), why)
}

// present reports whether the server itself, unfiltered, shows the row: a ghost that is there is evidence of the fault.
func (h *host) present(wr *write) bool {
	h.t.Helper()
	conn := h.connect()
	defer conn.Close(context.Background())
	var n int
	if err := conn.QueryRow(h.t.Context(), "select count(*) from item where id = $1", wr.id).Scan(&n); err != nil {
		h.t.Fatal(err)
	}
	return n == 1
}
