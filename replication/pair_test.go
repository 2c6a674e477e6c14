package replication_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sys/unix"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
	"keytrustee/replication"
	"keytrustee/replication/peer"
)

// pair is two servers and two monitors in this process, which talk over mutual TLS on loopback.
type pair struct {
	t               *testing.T
	dir             string
	ca              *authority
	active, passive *host
}

// host is one half of it.
type host struct {
	t       *testing.T
	name    string
	dir     string
	server  *postgres.Server
	port    int // of the cluster listener
	tls     tls.Certificate
	pool    *x509.CertPool
	prover  *prover
	state   *replication.StateFile
	monitor *replication.Monitor
	client  *peer.Client
	stop    func()
	frozen  chan struct{} // not nil: whoever calls this daemon waits for it to be closed
	mu      sync.Mutex    // guards frozen
}

// newPair returns a pair whose gate is open.
func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{t: t, dir: pgtest.Dir(t), ca: newAuthority(t)}
	root := make([]byte, 32)
	rand.Read(root)

	a := p.newHost("kt01", root)
	p.active = a
	if err := a.server.Init(pgtest.Context(t)); err != nil {
		t.Fatal(err)
	}
	control, err := postgres.ReadControl(t.Context(), a.server.Installation, a.server.Data)
	if err != nil {
		t.Fatal(err)
	}
	a.create(replication.State{Self: a.name, Duty: replication.Active, Epoch: replication.NewEpoch(1), SystemID: control.SystemID, Incarnation: replication.NewIncarnation()})
	a.startServer()
	conn := a.connect()
	if err := replication.Bootstrap(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	err = replication.Control(t.Context(), conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), "create table item (id uuid primary key, xid xid8 not null, material bytea not null); create table noise (a int, v text)")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	a.startDaemon()
	a.awaitReason(replication.NoPassive)

	p.passive = p.newHost("kt02", root)
	p.join(p.passive, false)
	a.awaitReason(replication.SyncNotEnabled)
	p.enable()
	p.awaitOpen()
	return p
}

// enable makes replication synchronous, as soon as the passive streams.
func (p *pair) enable() {
	p.t.Helper()
	await(p.t, "synchronous replication", func() error {
		ctx, cancel := context.WithTimeout(p.t.Context(), 10*time.Second)
		defer cancel()
		return p.active.monitor.EnableSync(ctx)
	})
}

// join clones the active to b and starts b.
func (p *pair) join(b *host, replace bool) {
	p.t.Helper()
	a, t := p.active, p.t
	incarnation := replication.NewIncarnation()
	admission, err := a.monitor.Admit(t.Context(), replication.Joiner{Replace: replace,
		Peer: replication.Peer{Name: b.name, Address: "127.0.0.1", ClusterPort: b.port, DatabasePort: b.server.Port, Incarnation: incarnation}})
	if err != nil {
		t.Fatal(err)
	}
	source := postgres.ConnString("host", "127.0.0.1", "port", strconv.Itoa(a.server.Port), "user", postgres.Replicator, "application_name", admission.StandbyName,
		"sslmode", "verify-full", "sslrootcert", b.server.TLS.CA, "sslcert", b.server.TLS.Cert, "sslkey", b.server.TLS.Key)
	err = postgres.BaseBackup(pgtest.Context(t), b.server.Installation,
		postgres.BaseBackupOptions{ConnString: source, Slot: admission.Slot, Target: b.server.Data, RunAs: b.server.RunAs}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.server.SetSignal(postgres.StandbySignal); err != nil {
		t.Fatal(err)
	}
	b.create(replication.State{Self: b.name, Duty: replication.Passive, Epoch: admission.Epoch, SystemID: admission.SystemID, Incarnation: incarnation,
		Peer: &replication.Peer{Name: a.name, Address: "127.0.0.1", ClusterPort: a.port, DatabasePort: a.server.Port, Incarnation: admission.Active.Incarnation}})
	b.startServer()
	b.startDaemon()
}

func (p *pair) newHost(name string, root []byte) *host {
	t := p.t
	t.Helper()
	h := &host{t: t, name: name, dir: filepath.Join(p.dir, name), port: pgtest.FreePort(t)}
	user := pgtest.User(t)
	for _, dir := range []string{h.dir, filepath.Join(h.dir, "node")} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		chown(t, user, dir)
	}
	cert, key := p.ca.issue(t, name)
	files := postgres.TLSFiles{Cert: filepath.Join(h.dir, "cert.pem"), Key: filepath.Join(h.dir, "key.pem"), CA: filepath.Join(h.dir, "ca.pem")}
	for path, content := range map[string][]byte{files.Cert: cert, files.Key: key, files.CA: p.ca.pem} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		chown(t, user, path)
	}
	var err error
	if h.tls, err = tls.X509KeyPair(cert, key); err != nil {
		t.Fatal(err)
	}
	h.pool = p.ca.pool()
	h.server = pgtest.Server(t, pgtest.Options{TLS: files, Listen: []string{"127.0.0.1"}, Dir: h.dir})
	h.prover = newProver(t, h.server, root)
	return h
}

func chown(t *testing.T, u *postgres.OSUser, path string) {
	t.Helper()
	if u == nil {
		return
	}
	if err := os.Chown(path, u.UID, u.GID); err != nil {
		t.Fatal(err)
	}
}

func (h *host) statePath() string { return filepath.Join(h.dir, "node", "state.json") }

func (h *host) create(s replication.State) {
	h.t.Helper()
	if err := os.Remove(h.statePath()); err != nil && !errors.Is(err, os.ErrNotExist) {
		h.t.Fatal(err)
	}
	if _, err := replication.CreateState(h.statePath(), s); err != nil {
		h.t.Fatal(err)
	}
}

// startServer is what `ktadmin db run` does.
func (h *host) startServer() {
	h.t.Helper()
	file, err := replication.OpenState(h.statePath())
	if err != nil {
		h.t.Fatal(err)
	}
	if err := replication.PrepareStart(h.server, file.Current(), nil); err != nil {
		h.t.Fatal(err)
	}
	pgtest.Start(h.t, h.server)
}

func (h *host) stopServer(mode postgres.Mode) {
	h.t.Helper()
	if err := h.server.Stop(pgtest.Context(h.t), mode); err != nil {
		h.t.Fatal(err)
	}
}

// startDaemon starts this host's monitor and its cluster listener.
func (h *host) startDaemon() {
	h.t.Helper()
	var err error
	if h.state, err = replication.OpenState(h.statePath()); err != nil {
		h.t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(testWriter{h.t}, &slog.HandlerOptions{Level: slog.LevelInfo})).With("host", h.name)
	h.client = peer.NewClient(func(node string) *tls.Config {
		return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{h.tls}, RootCAs: h.pool, ServerName: node}
	})
	h.monitor, err = replication.New(replication.Config{Server: h.server, State: h.state, Caller: h.client, Prover: h.prover, Logger: log})
	if err != nil {
		h.t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(h.port)),
		&tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{h.tls}, ClientCAs: h.pool, ClientAuth: tls.VerifyClientCertIfGiven})
	if err != nil {
		h.t.Fatal(err)
	}
	handler := &peer.Server{Node: h.monitor, Logger: log, NodeName: func(c *x509.Certificate) (string, bool) { return c.Subject.CommonName, true }}
	web := &http.Server{Handler: h.freezable(handler), ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { web.Serve(listener) })
	all.Go(func() {
		if err := h.monitor.Run(ctx); err != nil {
			h.t.Error(err)
		}
	})
	h.stop = sync.OnceFunc(func() {
		h.thawDaemon()
		cancel()
		web.Close()
		h.client.Close()
		all.Wait()
	})
	h.t.Cleanup(h.stop)
}

func (h *host) freezable(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		frozen := h.frozen
		h.mu.Unlock()
		if frozen != nil {
			<-frozen
		}
		next.ServeHTTP(w, r)
	})
}

// freezeDaemon lets the daemon take calls and answer none.
func (h *host) freezeDaemon() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.frozen = make(chan struct{})
}

func (h *host) thawDaemon() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.frozen != nil {
		close(h.frozen)
		h.frozen = nil
	}
}

// connect returns a connection of the administrator's, closed at the test's end.
func (h *host) connect() *pgx.Conn {
	h.t.Helper()
	conn, err := pgx.Connect(pgtest.Context(h.t), h.server.ConnString("postgres"))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// await polls until check returns nil.
func await(t *testing.T, what string, check func() error) {
	t.Helper()
	began := time.Now()
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Since(began) > 40*time.Second {
			t.Fatalf("no %s after %s: %v", what, time.Since(began).Round(time.Second), err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (h *host) awaitReason(want ...replication.Reason) time.Duration {
	h.t.Helper()
	began := time.Now()
	await(h.t, fmt.Sprintf("reason %s", want), func() error {
		if r := h.monitor.Report(); !slices.Contains(want, r.Reason) || r.Open {
			return fmt.Errorf("it is %q: %s", r.Reason, r.Detail)
		}
		return nil
	})
	return time.Since(began)
}

func (p *pair) awaitOpen() time.Duration {
	p.t.Helper()
	began := time.Now()
	await(p.t, "open gate", func() error {
		if closed := p.active.monitor.Gate().Closed(); closed != nil {
			return closed
		}
		return nil
	})
	return time.Since(began)
}

// awaitShut returns how long it took from since, and why.
func (p *pair) awaitShut(since time.Time) (time.Duration, *replication.ClosedError) {
	p.t.Helper()
	for time.Since(since) < 20*time.Second {
		if closed := p.active.monitor.Gate().Closed(); closed != nil {
			return time.Since(since), closed
		}
		time.Sleep(2 * time.Millisecond)
	}
	p.t.Fatal("the gate stays open")
	return 0, nil
}

// processes returns the pids of the server's processes whose title contains part.
func (h *host) processes(part string) []int {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	var pids []int
	for _, dir := range dirs {
		cwd, err := os.Readlink(filepath.Join(dir, "cwd"))
		title, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		if pid, perr := strconv.Atoi(filepath.Base(dir)); err == nil && perr == nil && cwd == h.server.Data && bytes.Contains(title, []byte(part)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// freeze stops the processes of the server whose title contains part, and shows that they stand still.
func (h *host) freeze(part string) (thaw func()) {
	h.t.Helper()
	pids := h.processes(part)
	if len(pids) == 0 {
		h.t.Fatalf("%s has no process %q", h.name, part)
	}
	for _, pid := range pids {
		if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
			h.t.Fatal(err)
		}
	}
	await(h.t, "standstill", func() error {
		for _, pid := range pids {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			if err != nil {
				return err
			}
			if state := stat[bytes.LastIndexByte(stat, ')')+2]; state != 'T' {
				return fmt.Errorf("process %d is in state %c", pid, state)
			}
		}
		return nil
	})
	h.t.Logf("evidence: %s: %d processes %q in state T", h.name, len(pids), part)
	thaw = sync.OnceFunc(func() {
		for _, pid := range pids {
			unix.Kill(pid, unix.SIGCONT)
		}
	})
	h.t.Cleanup(thaw)
	return thaw
}

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
	warned  bool
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

// fingerprint is the SHA-256 of every file below dir.
func fingerprint(t *testing.T, dir string) string {
	t.Helper()
	sum := sha256.New()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		fmt.Fprintf(sum, "%s %d\n", path, len(content))
		sum.Write(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(sum.Sum(nil))[:16]
}

// authority signs the certificates of a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// issue returns a certificate for a node, good for servers and clients.
func (a *authority) issue(t *testing.T, name string) (certPEM, keyPEM []byte) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<60))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{Organization: []string{"Keytrustee"}, CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    []string{name, "localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

// testWriter writes log lines into the test's log.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(line []byte) (int, error) {
	w.t.Log(strings.TrimSuffix(string(line), "\n"))
	return len(line), nil
}
