package metrics

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// again is how long Serve waits after it could not listen.
const again = 5 * time.Second

// Handler answers GET /metrics.
func (e *Exporter) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(e.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 5 * time.Second}))
	return mux
}

// Serve serves the metrics, without TLS and to everybody who reaches address, until ctx ends. An address that it can not listen
// at is tried again: nobody is kept from his keys by it.
func (e *Exporter) Serve(ctx context.Context, address string, log *slog.Logger) {
	said := ""
	for ctx.Err() == nil {
		l, err := net.Listen("tcp", address)
		if err == nil {
			log.Info("metrics are served", "address", l.Addr().String())
			err = e.serve(ctx, l, log)
		}
		if ctx.Err() != nil {
			return
		}
		if err.Error() != said {
			said = err.Error()
			log.Error("metrics are not served", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(again):
		}
	}
}

func (e *Exporter) serve(ctx context.Context, l net.Listener, log *slog.Logger) error {
	server := &http.Server{Handler: e.Handler(), ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	stopped := context.AfterFunc(ctx, func() { server.Close() })
	defer stopped()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return ctx.Err()
}
