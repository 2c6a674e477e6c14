package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"keytrustee/host"
	"keytrustee/internal/config"
	"keytrustee/kms/seal"
)

// initFlags are the flags of ktadmin init; zero means not given.
type initFlags struct {
	address, name, listen, dbConnect, sockets, recoveryOut string
	port, clusterPort                                      int
	peer                                                   config.Peer
}

func newInitCommand(a *app) *cobra.Command {
	var f initFlags
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make what this host lacks: the cluster's keys on its first host, certificates on each",
		Long: "init completes what is missing and never replaces. On a fresh host it founds a cluster. On a host whose confdir was\n" +
			"copied from the other one, or which has joined, it makes only this host's own certificates and settings.",
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.address, "external-address", "", "DNS name or IP address by which clients reach this host (default its full name)")
	flags.StringVar(&f.name, "name", "", "name of this node (default the first label of the external address)")
	flags.StringVar(&f.listen, "listen-address", "", "IP address to listen on (default all)")
	flags.IntVar(&f.port, "port", 0, "port for clients (default 11371)")
	flags.IntVar(&f.clusterPort, "cluster-port", 0, "port for the other host's keytrusteed (default 11372)")
	flags.StringVar(&f.dbConnect, "db-connect", "", "where the database will listen: postgresql://localhost:PORT/keytrustee?host=SOCKETDIR")
	flags.StringVar(&f.sockets, "socket-dir", "", "directory of the sockets (default /run/keytrustee)")
	flags.StringVar(&f.recoveryOut, "recovery-key-out", "", "write the recovery key to this file, which must not stay on this host")
	addPeerFlags(cmd, &f.peer)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.init(f) }
	return cmd
}

func addPeerFlags(cmd *cobra.Command, p *config.Peer) {
	cmd.Flags().StringVar(&p.Name, "peer-name", "", "node name of the other host (default: learned when it joins)")
	cmd.Flags().StringVar(&p.Address, "peer-address", "", "address of the other host (default: learned when it joins)")
	cmd.Flags().StringVar(&p.Source, "peer-source", "", "IP address that the other host's connections come from, if its address does not tell")
}

func (f initFlags) apply(a *app, c *config.Config) error {
	override(&c.ExternalAddress, f.address)
	override(&c.Name, f.name)
	override(&c.ListenAddress, f.listen)
	override(&c.Port, f.port)
	override(&c.ClusterPort, f.clusterPort)
	if err := applyDBConnect(c, f.dbConnect); err != nil {
		return err
	}
	override(&c.SocketDir, f.sockets)
	overridePeer(c, f.peer)
	if c.ExternalAddress == "" {
		c.ExternalAddress = fqdn(a.cmd.Context())
	}
	if c.Name == "" {
		c.Name = host.NodeName(c.ExternalAddress)
	}
	return nil
}

func overridePeer(c *config.Config, p config.Peer) {
	override(&c.Peer.Name, p.Name)
	override(&c.Peer.Address, p.Address)
	override(&c.Peer.Source, p.Source)
}

func (a *app) init(f initFlags) error {
	if err := absolute(&f.sockets, &f.recoveryOut); err != nil {
		return err
	}
	c, err := config.Read(a.confdir)
	if err != nil {
		return err
	}
	if err := f.apply(a, c); err != nil {
		return err
	}
	if c.ClusterID == "" {
		if c.ClusterID, err = clusterID(hostOf(c)); err != nil {
			return err
		}
	}
	if err := c.Validate(); err != nil {
		return err
	}
	if _, err := a.serviceUser(c); err != nil { // before anything is made
		return err
	}
	o, show, err := a.takeRecovery(c, f.recoveryOut)
	if err != nil {
		return err
	}
	if err := a.become(c); err != nil {
		return err
	}
	h := hostOf(c)
	do := func() (any, error) {
		if err := show(); err != nil {
			return nil, err
		}
		return nil, h.Init(a.cmd.Context(), o)
	}
	if o.Recovery != nil { // somebody holds what opens every key
		to := f.recoveryOut
		if to == "" {
			to = "terminal"
		}
		err = a.audited(c, "init", map[string]string{"recovery_key": o.Recovery.Fingerprint(), "recovery_key_out": to}, do)
	} else {
		_, err = do()
	}
	if err != nil {
		return err
	}
	if o.BackupKey != nil {
		a.shareBackupKey(h)
	}
	s, err := h.Status()
	if err != nil {
		return err
	}
	if !s.Recovery.Made {
		a.say("note: the recovery key was postponed, since there was nobody to take it. Without one, the loss of both hosts is the loss\n" +
			"of every key. Make it: ktadmin init --recovery-key-out FILE, and keep FILE away from both hosts.")
	}
	root, err := seal.LoadRoot(seal.RootPath(c.Confdir))
	if err != nil {
		return err
	}
	fingerprint := root.Public().Fingerprint()
	if a.format == "json" {
		return a.result(map[string]any{"confdir": c.Confdir, "cluster_id": c.ClusterID, "name": c.Name, "external_address": c.ExternalAddress,
			"root_key": fingerprint, "ca_file": h.AuthorityFile(), "recovery_key": s.Recovery}, nil)
	}
	_, err = fmt.Fprintf(a.cmd.OutOrStdout(), "Initialized directory for %s\n", fingerprint)
	return err
}

// clusterID is the id of the cluster that the host belongs to, or begins; keytrustee.yaml does not say it.
func clusterID(h *host.Host) (string, error) {
	done, err := h.Initialized()
	if err != nil {
		return "", err
	}
	if done {
		ring, err := seal.Load(h.Confdir)
		if err != nil {
			return "", err
		}
		return ring.Cluster(), nil
	}
	if id, err := h.Founding(); err != nil || id != "" {
		return id, err
	}
	return host.NewClusterID(), nil
}
