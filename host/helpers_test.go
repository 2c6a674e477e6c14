package host

import (
	"context"
	"crypto/x509"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"keytrustee/certs"
	"keytrustee/internal/durable"
	"keytrustee/kms/seal"
	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
	"keytrustee/replication"
	"keytrustee/replication/peer"
)

// settings stands in for internal/config: it notes that the files were saved.
type settings struct{ h *Host }

func (s settings) Shared() []byte { return []byte("cluster_id: " + s.h.ClusterID + "\n") }

func (s settings) SaveNode() error {
	return durable.WriteFile(filepath.Join(s.h.NodeDir(), "node.yaml"), []byte("name: "+s.h.Name+"\n"), 0o600)
}

// newHost is a host on 127.0.0.<n> whose directories do not exist yet.
func newHost(t *testing.T, name string, n int) *Host {
	t.Helper()
	home := filepath.Join(pgtest.Dir(t), name)
	h := &Host{
		Confdir: filepath.Join(home, ".keytrustee"), PGRoot: filepath.Join(home, "db"), Sockets: filepath.Join(filepath.Dir(home), "s"),
		LogDir: filepath.Join(home, "log"), Name: name, ExternalAddress: "127.0.0." + strconv.Itoa(n), ListenAddress: "127.0.0." + strconv.Itoa(n),
		Port: pgtest.FreePort(t), ClusterPort: pgtest.FreePort(t), DBPort: pgtest.FreePort(t), ClusterID: NewClusterID(),
		Peer: Peer{Source: "127.0.0.1"},
	}
	h.Settings = settings{h}
	return h
}

func mustInit(t *testing.T, h *Host) {
	t.Helper()
	if err := h.Init(pgtest.Context(t), InitOptions{}); err != nil {
		t.Fatal(err)
	}
}

// content maps each file below dir to what is in it.
func content(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		files[path] = string(text)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return files
}

var errCrash = errors.New("crash")

// points runs do with a failpoint that only notes which points there are.
func points(t *testing.T, h *Host, do func() error) []string {
	t.Helper()
	var all []string
	h.failpoint = func(point string) error {
		all = append(all, point)
		return nil
	}
	if err := do(); err != nil {
		t.Fatal(err)
	}
	h.failpoint = nil
	return all
}

// apart reports whether a crash at the n-th point leaves something else than one at the next.
func apart(all []string, n int) bool {
	return !strings.Contains(all[n], ": before ") || n+1 == len(all) || strings.Contains(all[n+1], ": before ")
}

// crashAt ends the operation at its n-th point, and every later one that it should not reach.
func crashAt(n int) func(string) error {
	return func(string) error {
		if n--; n < 0 {
			return errCrash
		}
		return nil
	}
}

// activeHost is an active, or the passive that survived it, with its database and the part of its daemon that a joiner and ktadmin meet.
type activeHost struct {
	*Host
	server   *postgres.Server
	ring     *seal.Keyring
	state    *replication.StateFile
	monitor  *replication.Monitor
	admitter *Admitter
	end      func() // the daemon
}

// startActive founds a cluster and starts its active until the test's end.
func startActive(t *testing.T) *activeHost {
	t.Helper()
	a := &activeHost{Host: newHost(t, "kt01", 1)}
	mustInit(t, a.Host)
	if err := a.Bootstrap(pgtest.Context(t)); err != nil {
		t.Fatal(err)
	}
	a.run(t)
	return a
}

// run starts the host's database and its daemon until the test's end.
func (a *activeHost) run(t *testing.T) {
	t.Helper()
	var err error
	if a.server, err = a.Server(pgtest.Context(t)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.RunDB(pgtest.Context(t)); err != nil {
		t.Fatal(err)
	}
	pgtest.Start(t, a.server)
	if a.ring, err = seal.Load(a.Confdir); err != nil {
		t.Fatal(err)
	}
	state, err := replication.OpenState(a.StateFile())
	if err != nil {
		t.Fatal(err)
	}
	a.state = state
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	a.monitor, err = replication.New(replication.Config{Server: a.server, State: state, Caller: nobody{}, Prover: prover{a.ring}, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	a.admitter = NewAdmitter(a.Host, a.server, a.ring, a.monitor, log)
	own, err := certs.NewReloader(a.ClusterFiles(), log)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", a.ClusterAddress())
	if err != nil {
		t.Fatal(err)
	}
	cluster := &http.Server{Handler: &peer.Server{Node: a.monitor, NodeName: certs.NodeName, Join: a.admitter, Logger: log}, TLSConfig: own.ClusterServer(),
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	admin := &Admin{Host: a.Host, Pair: a.monitor, Admitter: a.admitter, Logger: log}
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { a.monitor.Run(ctx) })
	all.Go(func() {
		if err := admin.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	all.Go(func() { cluster.ServeTLS(listener, "", "") })
	a.end = sync.OnceFunc(func() {
		stop()
		cluster.Close()
		all.Wait()
	})
	t.Cleanup(a.end)
	pgtest.Await(t, "the daemon sees its database", func() bool { return a.monitor.Report().Local.Answers })
	pgtest.Await(t, "the admin socket is there", func() bool {
		_, err := AdminClient{a.AdminSocket()}.Status(pgtest.Context(t))
		return err == nil
	})
}

func (a *activeHost) token(t *testing.T) *certs.Token {
	t.Helper()
	token, err := a.admitter.newToken(pgtest.Context(t), false, 0)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// nobody is a peer that can not be reached.
type nobody struct{}

var errNobody = errors.New("nobody there")

func (nobody) Ask(context.Context, replication.Peer, replication.Ask) (replication.Answer, error) {
	return replication.Answer{}, errNobody
}

func (nobody) Boundary(context.Context, replication.Peer) (replication.Boundary, error) {
	return replication.Boundary{}, errNobody
}
func (nobody) Follow(context.Context, replication.Peer, replication.Follow) error { return errNobody }

func (nobody) Report(context.Context, replication.Peer) (replication.Report, error) {
	return replication.Report{}, errNobody
}
func (nobody) Operate(context.Context, replication.Peer, replication.Command) (replication.Operated, error) {
	return replication.Operated{}, errNobody
}
func (nobody) Takeover(context.Context, replication.Peer, replication.Takeover) (replication.TakeoverAnswer, error) {
	return replication.TakeoverAnswer{}, errNobody
}

// prover proves the root key, and has no rows.
type prover struct{ ring *seal.Keyring }

func (p prover) ProveRoot(ctx context.Context, challenge []byte) ([]byte, error) {
	return p.ring.ProveRoot(ctx, challenge)
}

func (prover) Prove(context.Context, [][16]byte, []byte) ([][]byte, error) {
	return nil, errors.New("this host has no rows")
}

// stages notes the stages of a join.
type stages struct {
	said  []string
	bytes int64
}

func (s *stages) Stage(st Stage)      { s.said = append(s.said, st.String()) }
func (s *stages) Bytes(done, _ int64) { s.bytes = max(s.bytes, done) }

// joinOptions are those of h, which keeps its settings.
func joinOptions(h *Host, a *activeHost, token *certs.Token) JoinOptions {
	return JoinOptions{
		Token: token, Active: a.ExternalAddress, Name: h.Name, Address: h.ExternalAddress, Port: h.Port, ClusterPort: h.ClusterPort, DBPort: h.DBPort,
		Progress: new(stages),
		Configure: func(l Learned) (*Host, error) {
			c := *h
			c.Name, c.ExternalAddress, c.Peer = l.Name, l.Address, Peer{Name: l.Active.Name, Address: l.Active.Address, Source: "127.0.0.1"}
			c.Settings = settings{&c}
			return &c, c.Settings.SaveNode()
		},
	}
}

func hintOf(err error) string {
	if h := (*HintedError)(nil); errors.As(err, &h) {
		return h.Hint
	}
	return ""
}

func parse(t *testing.T, file string) *x509.Certificate {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := certs.ParseCertificate(text)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// chmodSecrets restores the modes that os.CopyFS does not keep.
func chmodSecrets(t *testing.T, h *Host) {
	t.Helper()
	for _, path := range []string{seal.RootPath(h.Confdir), sealedFile(h.Confdir, authorityBox), sealedFile(h.Confdir, cookieBox)} {
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
