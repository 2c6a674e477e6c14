package host

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"

	"keytrustee/certs"
	"keytrustee/kms/seal"
	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
	"keytrustee/replication"
	"keytrustee/replication/peer"
)

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
