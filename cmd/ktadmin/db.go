package main

import (
	"github.com/spf13/cobra"

	"keytrustee/host"
	"keytrustee/internal/config"
)

// dbFlags are the flags of ktadmin db; zero means not given.
type dbFlags struct {
	bootstrap       bool
	port            int
	pgRoot, passive string
}

func newDBCommand(a *app) *cobra.Command {
	var f dbFlags
	cmd := &cobra.Command{
		Use:   "db --bootstrap",
		Short: "Make the active's database",
		Long:  "db --bootstrap makes this host the active of a new pair: its database is made and left stopped, for the service to start.",
		Args:  cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.bootstrap, "bootstrap", false, "make the database")
	flags.IntVar(&f.port, "port", 0, "port of the database (default 11381)")
	flags.StringVar(&f.pgRoot, "pg-rootdir", "", "its directory, empty or absent (default db in the host's home)")
	flags.StringVar(&f.passive, "slave", "", "address of the passive that will join")
	flags.StringVar(&f.passive, "passive", "", "the same as --slave")
	cmd.RunE = func(*cobra.Command, []string) error {
		if !f.bootstrap {
			return usagef("db does nothing without --bootstrap, or one of its commands")
		}
		return a.bootstrap(f)
	}
	cmd.AddCommand(newDBRunCommand(a), newDBCheckCommand(a))
	return cmd
}

func (a *app) bootstrap(f dbFlags) error {
	c, err := config.Load(a.confdir)
	if err != nil {
		return err
	}
	if err := absolute(&f.pgRoot); err != nil {
		return err
	}
	override(&c.DBPort, f.port)
	override(&c.PGRootDir, f.pgRoot)
	if f.passive != "" {
		c.Peer.Address = f.passive
		if c.Peer.Name == "" {
			c.Peer.Name = host.NodeName(f.passive)
		}
	}
	if err := c.Validate(); err != nil {
		return err
	}
	if err := a.become(c); err != nil {
		return err
	}
	h := hostOf(c)
	if err := h.Bootstrap(a.cmd.Context()); err != nil {
		return err
	}
	s, err := h.Status()
	if err != nil {
		return err
	}
	return a.result(s.State, []row{
		{"node", s.Name}, {"duty", string(s.State.Duty)}, {"epoch", s.State.Epoch.String()}, {"data", c.PGRootDir},
	})
}
