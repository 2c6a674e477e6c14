package main

import (
	"context"
	"errors"
	"os"
	"strconv"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"keytrustee/certs"
	"keytrustee/host"
	"keytrustee/internal/config"
	"keytrustee/kms/pgstore"
	"keytrustee/postgres"
)

// joinFlags are the flags of the commands by which a host joins, and comes back; zero means not given.
type joinFlags struct {
	active, pgRoot, tokenFile     string
	name, address, listen, socket string
	pgPort, port, clusterPort     int
	noImport, noStart             bool
	reclone, abort                bool
	peer                          config.Peer
}

// addTo adds what every join can be told.
func (f *joinFlags) addTo(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&f.noStart, "no-start", false, "do not start the services")
	flags.StringVar(&f.tokenFile, "token-file", "", "file that holds the join token; - for standard input")
	flags.StringVar(&f.pgRoot, "pg-rootdir", "", "the database's directory, empty or absent (default db in the host's home)")
	flags.IntVar(&f.pgPort, "pg-port", 0, "port of the database (default as the other host's)")
	flags.StringVar(&f.name, "name", "", "name of this node (default: settled by the other host, or as in the backup)")
	flags.StringVar(&f.address, "external-address", "", "DNS name or IP address by which clients reach this host (default: settled by the other host, or as in the backup)")
	flags.StringVar(&f.listen, "listen-address", "", "IP address to listen on (default all)")
	flags.IntVar(&f.port, "port", 0, "port for clients (default as the other host's)")
	flags.IntVar(&f.clusterPort, "cluster-port", 0, "port for the other host's keytrusteed (default as the other host's)")
	flags.StringVar(&f.socket, "socket-dir", "", "directory of the sockets (default /run/keytrustee)")
	addPeerFlags(cmd, &f.peer)
}

func (f *joinFlags) apply(c *config.Config) {
	override(&c.PGRootDir, f.pgRoot)
	override(&c.DBPort, f.pgPort)
	override(&c.Name, f.name)
	override(&c.ExternalAddress, f.address)
	override(&c.ListenAddress, f.listen)
	override(&c.Port, f.port)
	override(&c.ClusterPort, f.clusterPort)
	override(&c.SocketDir, f.socket)
	overridePeer(c, f.peer)
}

// join joins as what kind says, and starts the services, or says that they are to be started.
func (a *app) join(f joinFlags, kind host.JoinKind) error {
	if err := absolute(&f.pgRoot, &f.socket); err != nil {
		return err
	}
	c, err := config.Read(a.confdir)
	if err != nil {
		return err
	}
	former := c.PGRootDir
	f.apply(c)
	if err := c.ValidateJoiner(); err != nil {
		return err
	}
	copied, err := hostOf(c).Initialized()
	if f.noImport && err != nil {
		return err
	}
	token, err := f.token(copied, kind)
	if err != nil {
		return err
	}
	if token == nil && f.active == "" && kind == host.NewPassive {
		return usagef("--master is missing: name the address of the active")
	}
	start, err := a.prepareStart(f.noStart, kind != host.NewPassive)
	if err != nil {
		return err
	}
	if err := a.become(c); err != nil {
		return err
	}
	h := hostOf(c)
	o := host.JoinOptions{
		Kind: kind, Token: token, Active: f.active, Name: c.Name, Address: c.ExternalAddress, Former: former,
		Port: given(f.port, "PORT"), ClusterPort: given(f.clusterPort, "CLUSTER_PORT"), DBPort: given(f.pgPort, "DB_PORT"),
		Configure: func(l host.Learned) (*host.Host, error) { return a.configureJoined(&f, l) },
		Linked: func(ctx context.Context, s *postgres.Server) error {
			return pgstore.LinkedAt(ctx, s.ConnString(host.Database))
		},
		Progress: joining{a.display()},
	}
	if _, err := os.Stat(c.NodeFile()); err == nil { // a host that has ports of its own keeps them
		o.Port, o.ClusterPort, o.DBPort = c.Port, c.ClusterPort, c.DBPort
	}
	if err := h.Join(a.cmd.Context(), o); err != nil {
		return err
	}
	if c, err = config.Load(a.confdir); err != nil {
		return err
	}
	s, err := hostOf(c).Status()
	if err != nil {
		return err
	}
	if err := a.result(s.State, []row{
		{"node", s.Name}, {"duty", string(s.State.Duty)}, {"epoch", s.State.Epoch.String()}, {"other host", s.State.Peer.Name}, {"data", c.PGRootDir},
	}); err != nil {
		return err
	}
	return start()
}

// token finds the join token; nil means proof by what the host has: the copied root key, or its certificate.
func (f *joinFlags) token(copied bool, kind host.JoinKind) (*certs.Token, error) {
	text := os.Getenv("KEYTRUSTEE_JOIN_TOKEN")
	switch {
	case f.noImport && f.tokenFile != "":
		return nil, usagef("--no-import-key and --token-file exclude each other")
	case f.noImport:
		return nil, nil
	case f.tokenFile != "":
		read, err := readSecret(f.tokenFile, "Join token: ")
		if err != nil {
			return nil, err
		}
		text = read
	case text == "" && (copied || kind == host.Reclone) && kind != host.Restore: // a passive is known by its certificate, also without its root key
		return nil, nil
	case text == "" && term.IsTerminal(int(os.Stdin.Fd())):
		read, err := readSecret("", "Join token: ")
		if err != nil {
			return nil, err
		}
		text = read
	case text == "" && kind == host.Restore:
		return nil, &host.HintedError{
			Err:  errors.New("there is no join token"),
			Hint: "run ktadmin join-token on the passive that survived, and give the token with --token-file or KEYTRUSTEE_JOIN_TOKEN",
		}
	case text == "":
		return nil, &host.HintedError{
			Err:  errors.New("there is neither a join token nor a copied confdir"),
			Hint: "run ktadmin join-token on the active, and give the token with --token-file or KEYTRUSTEE_JOIN_TOKEN",
		}
	}
	token, err := certs.ParseToken(text)
	if err != nil {
		return nil, &host.HintedError{Err: err, Hint: "copy the whole line that ktadmin join-token printed on the active"}
	}
	return token, nil
}

// configureJoined saves node.yaml, now that the cluster's own settings are there.
func (a *app) configureJoined(f *joinFlags, l host.Learned) (*host.Host, error) {
	c, err := config.Read(a.confdir)
	if err != nil {
		return nil, err
	}
	f.apply(c)
	c.Name, c.ExternalAddress = l.Name, l.Address
	if a.user != "" {
		c.User = a.user
	}
	c.Peer.Name = l.Active.Name
	if c.Peer.Address == "" {
		c.Peer.Address = l.Active.Address
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return hostOf(c), c.SaveNode()
}

// given is a port that was given for this host, by flag or in the environment; 0 otherwise.
func given(flag int, key string) int {
	if flag != 0 {
		return flag
	}
	port, _ := strconv.Atoi(os.Getenv("KEYTRUSTEE_" + key)) // config.Read has found it valid
	return port
}
