package main

import (
	"context"
	"log/slog"
	"os"

	"keytrustee/certs"
	"keytrustee/cmd/internal/thishost"
	"keytrustee/host"
	"keytrustee/internal/config"
	"keytrustee/internal/seam"
	"keytrustee/kms/seal"
	"keytrustee/postgres"
	"keytrustee/replication"
)

// belongings are what this host has of its own, as its files say.
type belongings struct {
	config       *config.Config
	host         *host.Host
	lock         *os.File // held for as long as state is in memory
	state        *replication.StateFile
	server       *postgres.Server
	ring         *seal.Keyring
	cookieSecret []byte
	authority    string          // the fingerprint of the cluster's
	public       *certs.Reloader // shown to clients
	cluster      *certs.Reloader // shown to the peer
}

// load reads what this host has of its own. It changes nothing and asks nobody.
func load(ctx context.Context, confdir string, log *slog.Logger) (b belongings, err error) {
	if b.config, err = config.Load(confdir); err != nil {
		return b, err
	}
	b.host = thishost.From(b.config)
	if err := b.host.CheckOwn(); err != nil {
		return b, err
	}
	if b.lock, err = b.host.LockDaemon(); err != nil {
		return b, err
	}
	if b.state, err = replication.OpenState(b.host.StateFile()); err != nil {
		return b, err
	}
	if b.server, err = b.host.Server(ctx); err != nil {
		return b, err
	}
	if b.ring, err = seal.Load(b.host.Confdir); err != nil {
		return b, &host.HintedError{Err: err, Hint: host.RootKeyRemedy}
	}
	if b.cookieSecret, err = b.host.CookieSecret(b.ring); err != nil {
		return b, err
	}
	if b.authority, err = fingerprint(b.host.AuthorityFile()); err != nil {
		return b, err
	}
	if b.public, err = certs.NewReloader(b.host.PublicFiles(), log); err != nil {
		return b, err
	}
	if b.cluster, err = certs.NewReloader(b.host.ClusterFiles(), log); err != nil {
		return b, err
	}
	b.cluster.Time = seam.Now
	return b, nil
}
