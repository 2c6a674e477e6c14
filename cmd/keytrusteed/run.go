package main

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"os"

	"golang.org/x/sys/unix"

	"keytrustee/certs"
	"keytrustee/cmd/internal/auditlog"
	"keytrustee/host"
	"keytrustee/internal/seam"
	"keytrustee/internal/undumped"
	"keytrustee/kms"
	"keytrustee/kms/acl"
	"keytrustee/kms/audit"
	"keytrustee/kms/auth"
	"keytrustee/kms/pgstore"
	"keytrustee/kms/rest"
	"keytrustee/metrics"
	"keytrustee/replication"
	"keytrustee/replication/peer"
	"keytrustee/status"
)

// options are the daemon's flags.
type options struct {
	confdir, logFormat, logLevel string
}

// run is the daemon, from its files to its last answer. What each part needs of the others is handed over here, in the order in which a
// request meets them.
func run(ctx context.Context, o options) error {
	if err := checkUser(); err != nil {
		return err
	}
	log, err := newLogger(os.Stderr, o.logFormat, o.logLevel)
	if err != nil {
		return err
	}
	slog.SetDefault(log)
	unix.Umask(0o077)
	if err := undumped.Set(); err != nil { // a core image would hold keys
		return err
	}

	own, err := load(ctx, o.confdir, log)
	if err != nil {
		return err
	}
	defer own.lock.Close()
	c, self, server, state := own.config, own.host, own.server, own.state

	// Who is told.
	syslog, err := auditlog.Receiver(c, log)
	if err != nil {
		return err
	}
	if syslog != nil {
		defer auditlog.Background(syslog.Run)()
	}
	recorder, err := audit.New(audit.Config{Path: auditlog.Path(self), Syslog: syslog, Now: seam.Now, Logger: log})
	if err != nil {
		return err
	}
	defer recorder.Close()
	maker, err := newBackupChild(self.Confdir, log)
	if err != nil {
		return err
	}
	hourly := &backups{confdir: self.Confdir, make: maker.Run, note: recorder.Note, now: seam.Now, log: log}
	known := &about{self: self, backups: hourly, syslog: syslog} // its pair is there before anybody asks
	exporter := metrics.New(func() replication.Report { return known.Report() })

	// The pair.
	peers := peer.NewClient(func(node string) *tls.Config { return own.cluster.ClusterClient(func() string { return node }) })
	proofs := &prover{ring: own.ring}
	monitor, err := replication.New(replication.Config{Server: server, State: state, Caller: peers, Prover: proofs,
		Forget: func() { proofs.forget() }, Linked: func(ctx context.Context) error { return pgstore.LinkedAt(ctx, server.ConnString(host.Database)) },
		Told: noticed(recorder, exporter.Count, log), Backups: hourly.Word, Now: seam.Now, Logger: log})
	if err != nil {
		return err
	}
	known.pair, hourly.report = pair{monitor, recorder}, monitor.Report
	theOther := func() (replication.Peer, bool) {
		if p := monitor.State().Peer; p != nil {
			return *p, true
		}
		return replication.Peer{}, false
	}

	// The keys.
	sight := &horizon{Horizon: monitor.Horizon()}
	keyDatabase := server.ConnString(host.Database)
	store, err := pgstore.New(pgstore.Config{ConnString: keyDatabase, Horizon: sight, Host: self.Name, Logger: log})
	if err != nil {
		return err
	}
	policy, err := acl.Load(self.Confdir)
	if err != nil {
		return err
	}
	service, err := kms.New(kms.Config{Store: store, Sealer: own.ring, Policy: policy, Recorder: recorder, Gate: gate{monitor.Gate()},
		Host: self.Name, Now: seam.Now, Logger: log})
	if err != nil {
		return err
	}
	proofs.store, proofs.forget = store, service.Invalidate

	// The clients.
	simple, err := auth.New(auth.Config{Secrets: func() (auth.Secrets, error) { return auth.Secrets{Current: own.cookieSecret}, nil }, Now: seam.Now})
	if err != nil {
		return err
	}
	kmsServer, err := rest.New(rest.Config{
		Service: service, Clients: simple, Peer: auth.Peer{}, Assert: auth.Assert,
		Cluster: cluster{monitor, peers.Forwarder(theOther)},
		Hand: func(ctx context.Context, number uint64, told bool) error {
			p, ok := theOther()
			if !ok {
				return errors.New("no active is known")
			}
			return peers.Hand(ctx, p, peer.HandReport{Number: number, Told: told})
		},
		Fingerprint: own.authority,
		Host:        self.Name, Logger: log,
	})
	if err != nil {
		return err
	}
	healthy := status.HealthHandler(health(known.pair, own.ring, self))
	clients := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/sys/health" {
			healthy.ServeHTTP(w, r)
			return
		}
		kmsServer.PublicHandler().ServeHTTP(w, r)
	})
	admitter := host.NewAdmitter(self, server, own.ring, monitor, log)
	whole := seen{*known, store}
	node := &peer.Server{
		Node:     whole,
		NodeName: certs.NodeName,
		Forward:  kmsServer.ClusterHandler(),
		Join:     admitter,
		Hand: func(_ context.Context, r peer.HandReport) error {
			kmsServer.Report(r.Number, r.Told)
			return nil
		},
		Logger: log,
	}
	admin := &host.Admin{Host: self, Pair: whole, Admitter: admitter, Note: commanded(recorder, self), Logger: log,
		Peer: func(ctx context.Context) (replication.Report, error) {
			p, ok := theOther()
			if !ok {
				return replication.Report{}, errors.New("this host has no other")
			}
			return peers.Report(ctx, p)
		}}
	return serve(ctx, log, parts{
		self: self, monitor: monitor, store: store, service: service, recorder: recorder, admin: admin, backups: hourly,
		exporter: exporter, metricsAddress: c.MetricsAddress,
		migrate: func(ctx context.Context) { sight.migrate(ctx, keyDatabase, log) },
		clients: clients, clientsTLS: own.public.PublicConfig(), node: node, nodeTLS: own.cluster.ClusterServer(),
	})
}
