package main

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"keytrustee/host"
	"keytrustee/internal/release"
	"keytrustee/kms"
	"keytrustee/kms/audit"
	"keytrustee/kms/pgstore"
	"keytrustee/kms/rest"
	"keytrustee/metrics"
	"keytrustee/replication"
)

// drain is how long a daemon that stops goes on answering what it has begun: longer than a write waits for its outcome.
const drain = 8 * time.Second

// parts are what serve runs.
type parts struct {
	self     *host.Host
	monitor  *replication.Monitor
	store    *pgstore.Store
	service  *kms.Service
	recorder *audit.Recorder
	admin    *host.Admin
	backups  *backups
	migrate  func(context.Context)
	exporter *metrics.Exporter

	metricsAddress string // empty: they are not served

	clients    http.Handler
	clientsTLS *tls.Config
	node       http.Handler
	nodeTLS    *tls.Config
}

// serve listens, and returns when ctx has ended and what was begun has been answered.
func serve(ctx context.Context, log *slog.Logger, p parts) error {
	all, err := descriptors()
	if err != nil {
		return err
	}
	clients, err := p.listen(p.self.Port, p.clientsTLS, all/2, all/2) // many clients may come through one gateway
	if err != nil {
		return err
	}
	defer clients.Close()
	nodes, err := p.listen(p.self.ClusterPort, p.nodeTLS, all/4, all/16)
	if err != nil {
		return err
	}
	defer nodes.Close()
	public, cluster := rest.PublicServer(p.clients), rest.PublicServer(p.node)
	public.ErrorLog, cluster.ErrorLog = quiet(log), quiet(log)

	// What watches the pair goes on until the last answer is written: a write that was begun needs its confirmation.
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, running := errgroup.WithContext(watching)
	changed := make(chan struct{}) // the duty
	g.Go(func() error {
		err := p.monitor.Run(running)
		if errors.Is(err, replication.ErrDutyChanged) {
			close(changed)
			return nil
		}
		return err
	})
	g.Go(func() error { return p.recorder.Run(running) })
	g.Go(func() error { return p.admin.Run(running) })
	g.Go(func() error {
		making, stopped := context.WithCancel(ctx)
		defer stopped()
		go func() {
			select {
			case <-changed:
			case <-running.Done():
			}
			stopped()
		}()
		p.backups.Run(making)
		return nil
	})
	g.Go(func() error { renewals(running, p.self.RenewDue, p.monitor.Report, p.recorder.Note, log); return nil })
	if p.metricsAddress != "" {
		g.Go(func() error { p.exporter.Serve(running, p.metricsAddress, log); return nil })
	}
	if p.monitor.State().Duty == replication.Active {
		g.Go(func() error { p.migrate(running); return nil })
	}
	g.Go(func() error { return served(public.Serve(clients)) })
	g.Go(func() error { return served(cluster.Serve(nodes)) })
	g.Go(func() error { return watchdog(running, p.monitor, log) })
	g.Go(func() error {
		defer stop()
		return p.end(ctx, running, changed, log, public, cluster)
	})
	log.Info("keytrusteed is up", "version", release.Version, "host", p.self.Name, "duty", p.monitor.State().Duty,
		"clients", clients.Addr().String(), "peer", nodes.Addr().String())
	if err := g.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// end waits until ctx or running has ended, or the duty has changed. When it returns, the servers have answered what they had begun, as far
// as there was time, and take no more. It returns replication.ErrDutyChanged for a duty that has changed.
func (p *parts) end(ctx, running context.Context, changed <-chan struct{}, log *slog.Logger, public, cluster *http.Server) error {
	patience, anew := drain, false
	select {
	case <-ctx.Done():
		log.Info("stopping: what was begun is answered first")
	case <-changed:
		log.Warn("this host has another duty: keytrusteed starts anew", "duty", p.monitor.State().Duty)
		patience, anew = lastWord, true
	case <-running.Done():
		return errors.Join(public.Close(), cluster.Close())
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	err := errors.Join(public.Shutdown(last), cluster.Shutdown(last))
	if anew { // nothing of this process is waited for
		return replication.ErrDutyChanged
	}
	p.store.Close()
	p.service.Wait()
	return err
}

func (p *parts) listen(port int, config *tls.Config, places, each int) (net.Listener, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(p.self.ListenAddress, strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	return tls.NewListener(limit(l, places, each), config), nil
}

// served drops the error with which every server ends that is told to.
func served(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
