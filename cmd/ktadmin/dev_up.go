package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"keytrustee/internal/durable"
	"keytrustee/postgres"
	"keytrustee/replication"
	"keytrustee/status"
)

// up makes p a confirmed pair, from nothing, from half of one, or from one that was stopped. When it returns an error, nothing of the
// pair runs that did not run before.
func (p *devPair) up(ctx context.Context, say func(string, ...any)) (err error) {
	ran := len(p.active().pids())+len(p.passive().pids()) > 0
	defer func() {
		if err != nil && !ran {
			err = errors.Join(err, p.down(context.WithoutCancel(ctx)))
		}
	}()
	if !ran {
		if err := p.checkPorts(ctx); err != nil {
			return err
		}
	}
	if err := p.makeSockets(); err != nil {
		return err
	}
	if !p.Confirmed {
		err = p.setUp(ctx, say)
	} else {
		for _, n := range p.Nodes {
			err = errors.Join(err, n.start(ctx, devComponents))
		}
	}
	if err != nil {
		return err
	}
	say("waiting until both hosts confirm each other")
	// The gate is open only while the passive confirms what the active has.
	if err := p.await(ctx, "the pair is confirmed", func(code int, _ status.Health) bool { return code == http.StatusOK }); err != nil {
		return err
	}
	p.Confirmed = true
	return nil
}

// setUp runs the production commands in an operator's order. Each of them leaves alone what an earlier try has done.
func (p *devPair) setUp(ctx context.Context, say func(string, ...any)) error {
	active, passive := p.active(), p.passive()
	say("active: ktadmin init, ktadmin db --bootstrap")
	if _, err := active.run(ctx, nil, "init", "--external-address", active.Address, "--recovery-key-out", p.recoveryFile()); err != nil {
		return err
	}
	if _, err := active.run(ctx, nil, "db", "--bootstrap", "--port", strconv.Itoa(p.DBPort), "--pg-rootdir", active.data()); err != nil {
		return err
	}
	if err := copyFile(active.caFile(), p.caFile()); err != nil {
		return err
	}
	say("active: starting PostgreSQL and keytrusteed")
	if err := active.start(ctx, devComponents); err != nil {
		return err
	}
	if !passive.joined() {
		say("passive: ktadmin init-slave, with a token of ktadmin join-token")
		token, err := active.run(ctx, nil, "join-token")
		if err != nil {
			return err
		}
		if _, err := passive.run(ctx, []string{"KEYTRUSTEE_JOIN_TOKEN=" + strings.TrimSpace(token)}, "init-slave", "--master", active.Address); err != nil {
			return err
		}
	}
	say("passive: starting PostgreSQL and keytrusteed")
	if err := passive.start(ctx, devComponents); err != nil {
		return err
	}
	if err := p.await(ctx, "the passive replicates", func(_ int, h status.Health) bool {
		return h.Writes.Open || h.Writes.Reason == string(replication.SyncNotEnabled)
	}); err != nil {
		return err
	}
	say("active: ktadmin enable-synchronous-replication")
	if _, err := active.run(ctx, nil, "enable-synchronous-replication"); err != nil {
		return err
	}
	_, err := active.run(ctx, nil, "root-key", "confirm-recovery", "--key-file", p.recoveryFile())
	return err
}

// joined reports whether an earlier try has made this node the passive; init-slave would refuse its directory.
func (n *devNode) joined() bool {
	_, none := os.Stat(filepath.Join(n.home(), "node", "state.json"))
	_, ended := os.Stat(filepath.Join(n.home(), "node", "journal.json"))
	return none == nil && errors.Is(ended, fs.ErrNotExist)
}

// start starts the components of a node that do not run, none of them waiting for another, and returns when they answer: PostgreSQL has
// written that it is ready, keytrusteed serves its clients' port.
func (n *devNode) start(ctx context.Context, components []string) error {
	if err := n.makeDirectories(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
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
	authority, err := os.ReadFile(n.caFile())
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

// await returns when the active's health satisfies the condition.
func (p *devPair) await(ctx context.Context, what string, condition func(code int, h status.Health) bool) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		code, h, err := p.active().health(ctx, "?writable=true")
		if err == nil && condition(code, h) {
			return nil
		}
		select {
		case <-ctx.Done():
			why := h.Writes.Sentence
			if err != nil {
				why = err.Error()
			}
			return fmt.Errorf("waiting until %s: %s; the logs of both hosts are in %s/*/log", what, why, p.dir)
		case <-time.After(devPoll):
		}
	}
}

// down ends everything that belongs to the pair, frozen or not, and removes its sockets.
func (p *devPair) down(ctx context.Context) error {
	var errs []error
	for _, n := range p.Nodes {
		for _, component := range []string{devKeytrusteed, devPostgres} {
			polite, cancel := context.WithTimeout(ctx, 10*time.Second)
			err := n.stop(polite, component)
			cancel()
			if err != nil {
				err = n.kill(ctx, component)
			}
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if p.Sockets == "" {
		return nil
	}
	if err := os.RemoveAll(p.Sockets); err != nil {
		return err
	}
	p.Sockets = ""
	return nil
}

// makeSockets makes the directory of both hosts' sockets: short, because a socket's path is at most 107 bytes, and private.
func (p *devPair) makeSockets() error {
	if p.Sockets == "" {
		dir, err := os.MkdirTemp("/tmp", "keytrustee-")
		if err != nil {
			return err
		}
		p.Sockets = dir
	}
	if err := os.MkdirAll(p.Sockets, 0o700); err != nil {
		return err
	}
	return errors.Join(p.own(p.Sockets), p.save())
}

// checkPorts fails if another program has one of the pair's ports.
func (p *devPair) checkPorts(ctx context.Context) error {
	for _, n := range p.Nodes {
		for flag, port := range map[string]int{"port": p.Port, "db-port": p.DBPort, "cluster-port": p.ClusterPort} {
			var listen net.ListenConfig
			l, err := listen.Listen(ctx, "tcp", net.JoinHostPort(n.Address, strconv.Itoa(port)))
			if err != nil {
				return &postgres.SetupError{
					Problem: fmt.Sprintf("port %d of %s can not be used", port, n.Address),
					Remedy:  fmt.Sprintf("choose another one with --%s, or end the program that has it", flag),
					Err:     err,
				}
			}
			l.Close()
		}
	}
	return nil
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s was not made", from)
	} else if err != nil {
		return err
	}
	return durable.WriteFile(to, data, 0o644)
}
