package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"keytrustee/status"
)

// start starts the components of a node that do not run, none of them waiting for another, and returns when they answer: PostgreSQL has
// written that it is ready, keytrusteed serves its clients' port.
func (n *devNode) start(ctx context.Context, components []string) error {
	if err := n.makeDirectories(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	ended := map[string]<-chan struct{}{}
	for _, component := range components {
		var err error
		if ended[component], err = n.launch(component); err != nil {
			return err
		}
	}
	for _, component := range components {
		for !n.answers(ctx, component) {
			select {
			case <-ended[component]:
				return fmt.Errorf("%s on %s ended; its log ends:\n%s", component, n.Name, n.tail(component))
			case <-ctx.Done():
				return fmt.Errorf("%s on %s does not answer; its log ends:\n%s", component, n.Name, n.tail(component))
			case <-time.After(devPoll):
			}
		}
	}
	return nil
}

func (n *devNode) answers(ctx context.Context, component string) bool {
	if component == devPostgres {
		state, err := os.ReadFile(filepath.Join(n.data(), "postmaster.pid"))
		lines := strings.Split(string(state), "\n")
		_, running := n.server().Pid()
		return err == nil && running && len(lines) > 7 && (strings.TrimSpace(lines[7]) == "ready" || strings.TrimSpace(lines[7]) == "standby")
	}
	_, _, err := n.health(ctx, "")
	return err == nil
}

// health asks the node's daemon how it is.
func (n *devNode) health(ctx context.Context, query string) (code int, h status.Health, err error) {
	authority, err := os.ReadFile(n.pair.caFile())
	if err != nil {
		return 0, h, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}} // no proxy: this machine talks to itself
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, n.url()+"/v1/sys/health"+query, nil)
	if err != nil {
		return 0, h, err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, h, err
	}
	defer response.Body.Close()
	return response.StatusCode, h, json.NewDecoder(response.Body).Decode(&h)
}

// await returns when the health of the active satisfies the condition, whichever host that is.
func (p *devPair) await(ctx context.Context, what string, condition func(code int, h status.Health) bool) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		why := "no host is the active"
		for _, n := range p.Nodes {
			code, h, err := n.health(ctx, "?writable=true")
			switch {
			case err != nil:
				why = err.Error()
			case h.Standby:
			case condition(code, h):
				return nil
			default:
				why = h.Writes.Sentence
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %s; the logs of both hosts are in %s/*/log", what, why, p.dir)
		case <-time.After(devPoll):
		}
	}
}
