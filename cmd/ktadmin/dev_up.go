package main

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"keytrustee/internal/durable"
	"keytrustee/replication"
	"keytrustee/status"
)

// up makes p a confirmed pair, from nothing, from half of one, or from one that was stopped. When it returns an error, nothing of the
// pair runs that did not run before.
func (p *devPair) up(ctx context.Context, say func(string, ...any)) (err error) {
	ran := p.active().runs() || p.passive().runs()
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
	for _, n := range p.Nodes {
		if err := n.makeDirectories(); err != nil {
			return err
		}
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
	authority, err := p.read(active.caFile())
	if err != nil {
		return err
	}
	if err := durable.WriteFile(p.caFile(), authority, 0o644); err != nil {
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
	_, err = active.run(ctx, nil, "root-key", "confirm-recovery", "--key-file", p.recoveryFile())
	return err
}

// joined reports whether an earlier try has made this node the passive; init-slave would refuse its directory.
func (n *devNode) joined() bool {
	_, none := os.Stat(filepath.Join(n.home(), "node", "state.json"))
	_, ended := os.Stat(filepath.Join(n.home(), "node", "journal.json"))
	return none == nil && errors.Is(ended, fs.ErrNotExist)
}

// down ends everything that belongs to the pair, frozen or not, and removes its sockets.
func (p *devPair) down(ctx context.Context) error {
	var errs []error
	for _, n := range p.Nodes {
		for _, component := range slices.Backward(devComponents) {
			one := []string{component}
			polite, cancel := context.WithTimeout(ctx, 10*time.Second)
			err := n.stop(polite, one)
			cancel()
			if err != nil {
				err = n.kill(ctx, one)
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
