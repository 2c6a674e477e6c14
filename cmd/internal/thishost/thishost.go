// Package thishost makes the host.Host that a program runs on out of its configuration.
package thishost

import (
	"keytrustee/host"
	"keytrustee/internal/config"
)

// From is the host that c describes. The two share nothing: what the host learns it writes through its Settings.
func From(c *config.Config) *host.Host {
	return &host.Host{
		Confdir: c.Confdir, PGRoot: c.PGRootDir, Sockets: c.SocketDir, LogDir: c.LogDir,
		ClusterID: c.ClusterID, Name: c.Name, ExternalAddress: c.ExternalAddress, ListenAddress: c.ListenAddress,
		Port: c.Port, ClusterPort: c.ClusterPort, DBPort: c.DBPort,
		Peer: host.Peer(c.Peer),
	}
}
