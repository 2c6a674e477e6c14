package replication_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
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
	"golang.org/x/sys/unix"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
	"keytrustee/replication"
	"keytrustee/replication/peer"
)

// host is one half of a pair.
type host struct {
	t         *testing.T
	name      string
	dir       string
	server    *postgres.Server
	port      int // of the cluster listener
	tls       tls.Certificate
	pool      *x509.CertPool
	prover    *prover
	state     *replication.StateFile
	monitor   *replication.Monitor
	client    *peer.Client
	stop      func()
	duty      replication.Duty   // when the daemon was started
	failpoint func(string) error // of every daemon of h from now on
	linked    error              // what every daemon of h finds when it looks for rows that are missing
	frozen    chan struct{}      // not nil: whoever calls this daemon waits for it to be closed
	mu        sync.Mutex         // guards frozen and told
	told      []replication.Notice
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
	if err := replication.PrepareStart(h.server, file.Current()); err != nil {
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
	h.startDaemonWith(func(m *replication.Monitor) { m.SetFailpoint(h.failpoint) })
}

// startDaemonWith does so with a monitor that was changed before it runs.
func (h *host) startDaemonWith(change func(*replication.Monitor)) {
	h.t.Helper()
	var err error
	if h.state, err = replication.OpenState(h.statePath()); err != nil {
		h.t.Fatal(err)
	}
	h.duty = h.state.Current().Duty
	log := slog.New(slog.NewTextHandler(testWriter{h.t}, &slog.HandlerOptions{Level: slog.LevelInfo})).With("host", h.name)
	h.client = peer.NewClient(func(node string) *tls.Config {
		return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{h.tls}, RootCAs: h.pool, ServerName: node}
	})
	h.monitor, err = replication.New(replication.Config{Server: h.server, State: h.state, Caller: h.client, Prover: h.prover,
		Linked: func(context.Context) error { return h.linked }, Told: h.tell, Logger: log})
	if err != nil {
		h.t.Fatal(err)
	}
	change(h.monitor)
	var listener net.Listener
	// A program that is just being started has all files of this process until it is executed, that of the daemon before among them.
	await(h.t, "free port of "+h.name, func() (err error) {
		listener, err = tls.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(h.port)),
			&tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{h.tls}, ClientCAs: h.pool, ClientAuth: tls.VerifyClientCertIfGiven})
		return err
	})
	handler := &peer.Server{Node: h.monitor, Logger: log, NodeName: func(c *x509.Certificate) (string, bool) { return c.Subject.CommonName, true }}
	web := &http.Server{Handler: h.freezable(handler), ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { web.Serve(listener) })
	all.Go(func() {
		if err := h.monitor.Run(ctx); err != nil && !errors.Is(err, replication.ErrDutyChanged) {
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
			// One that ended just before stays a zombie for as long as the postmaster, which would reap it, stands still.
			if state := stat[bytes.LastIndexByte(stat, ')')+2]; state != 'T' && state != 'Z' {
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

// testWriter writes log lines into the test's log.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(line []byte) (int, error) {
	w.t.Log(strings.TrimSuffix(string(line), "\n"))
	return len(line), nil
}
