package host

import (
	"context"
	"os"
	"path/filepath"

	"keytrustee/postgres"
)

// Server describes this host's PostgreSQL, run by this process's user. It finds the installation that fits the data
// directory, or, without one, the newest.
func (h *Host) Server(ctx context.Context) (*postgres.Server, error) {
	find := postgres.Find
	if _, err := os.Stat(filepath.Join(h.PGRoot, "PG_VERSION")); err == nil {
		find = func(ctx context.Context) (postgres.Installation, error) { return postgres.FindFor(ctx, h.PGRoot) }
	}
	inst, err := find(ctx)
	if err != nil {
		return nil, err
	}
	user, err := postgres.CurrentOSUser()
	if err != nil {
		return nil, err
	}
	listen := []string{"*"}
	if h.ListenAddress != "" {
		listen = []string{h.ListenAddress}
	}
	own := h.ClusterFiles()
	return &postgres.Server{
		Installation: inst,
		Data:         h.PGRoot,
		Conf:         h.PGConf(),
		Socket:       h.Sockets,
		Log:          filepath.Join(h.LogDir, "postgresql.log"),
		Port:         h.DBPort,
		Listen:       listen,
		Admins:       []string{user.Name},
		TLS:          postgres.TLSFiles{Cert: own.Cert, Key: own.Key, CA: own.CA},
	}, nil
}
