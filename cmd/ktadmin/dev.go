package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"keytrustee/postgres"
)

// newDevCommand returns `ktadmin dev`: a whole pair on this machine, for trying out and for tests. It runs the production commands as
// child processes and has no step of its own.
func newDevCommand(a *app) *cobra.Command {
	var dir string
	dev := &cobra.Command{
		Use:   "dev",
		Short: "Run a whole pair on this machine, to try it out",
		Long: "Run a whole pair on this machine, to try it out: the active on 127.0.0.1, the passive on 127.0.0.2, with the same ports.\n" +
			"DIR/pair.json says where everything is.",
		Args: cobra.NoArgs,
	}
	dev.PersistentFlags().StringVar(&dir, "dir", "", "directory that holds the pair")
	dev.AddCommand(newDevUpCommand(a, &dir), newDevDownCommand(&dir), newDevRunCommand(&dir))
	dev.AddCommand(
		newDevNodeCommand(&dir, "start", "Start what of a host does not run", (*devNode).start),
		newDevNodeCommand(&dir, "stop", "Stop a host as its services do", (*devNode).stop),
		newDevNodeCommand(&dir, "kill", "End a host with SIGKILL; nothing restarts by itself", (*devNode).kill),
	)
	return dev
}

func newDevUpCommand(a *app, dir *string) *cobra.Command {
	var port, dbPort, clusterPort int
	cmd := &cobra.Command{
		Use:   "up --dir DIR",
		Short: "Start a pair and return when both hosts confirm each other",
		Args:  cobra.NoArgs,
	}
	cmd.Flags().IntVar(&port, "port", 11371, "port for clients, on both hosts")
	cmd.Flags().IntVar(&dbPort, "db-port", 11381, "PostgreSQL's port, on both hosts")
	cmd.Flags().IntVar(&clusterPort, "cluster-port", 11372, "port between the two daemons, on both hosts")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		for flag, port := range map[string]int{"port": port, "db-port": dbPort, "cluster-port": clusterPort} {
			if port < 1 || port > 65535 {
				return usagef("--%s: %d is no port", flag, port)
			}
		}
		return withNewDevPair(cmd.Context(), *dir, port, dbPort, clusterPort, func(p *devPair) error {
			for flag, same := range map[string]bool{
				"port": p.Port == port, "db-port": p.DBPort == dbPort, "cluster-port": p.ClusterPort == clusterPort,
			} {
				if !same && cmd.Flags().Changed(flag) {
					return usagef("--%s: the pair under %s has another one already", flag, p.dir)
				}
			}
			if err := p.makeTraversable(a.say); err != nil {
				return err
			}
			if err := p.copyBinaries(); err != nil {
				return err
			}
			if err := p.up(cmd.Context(), a.say); err != nil {
				return err
			}
			if err := p.save(); err != nil {
				return err
			}
			a.say("the pair is confirmed")
			return a.result(p.public(), []row{
				{"pair", p.publicFile()}, {"kms_uri", p.kmsURI()}, {"ca_file", p.caFile()},
				{"active", p.active().url()}, {"passive", p.passive().url()},
			})
		})
	}
	return cmd
}

func newDevDownCommand(dir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "down --dir DIR",
		Short: "End the pair; its data stays, and up starts it again",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withDevPair(*dir, func(p *devPair) error { return p.down(cmd.Context()) })
		},
	}
}

func newDevNodeCommand(dir *string, verb, short string, act func(*devNode, context.Context, []string) error) *cobra.Command {
	var component string
	cmd := &cobra.Command{
		Use:       verb + " active|passive --dir DIR",
		Short:     short,
		Args:      cobra.ExactArgs(1),
		ValidArgs: []string{"active", "passive"},
	}
	cmd.Flags().StringVar(&component, "component", "", "only this one: "+strings.Join(devComponents, " or "))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		components := devComponents
		if component != "" {
			if !slices.Contains(devComponents, component) {
				return usagef("--component: %q is neither %s", component, strings.Join(devComponents, " nor "))
			}
			components = []string{component}
		}
		return withDevPair(*dir, func(p *devPair) error {
			n, err := p.node(args[0])
			if err != nil {
				return err
			}
			if err := p.makeSockets(); err != nil { // after down, or where /tmp was emptied
				return err
			}
			return act(n, cmd.Context(), components)
		})
	}
	return cmd
}

// withNewDevPair is withDevPair for a directory that may not hold a pair yet: it is made then, and has to be empty.
func withNewDevPair(ctx context.Context, dir string, port, dbPort, clusterPort int, do func(*devPair) error) error {
	dir, err := devDir(dir)
	if err != nil {
		return err
	}
	_, absent := os.Stat(dir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	unlock, err := lockDev(dir)
	if err != nil {
		return err
	}
	p, err := loadDevPair(dir)
	if errors.Is(err, fs.ErrNotExist) {
		p, err = layOutDevPair(ctx, dir, port, dbPort, clusterPort)
	}
	if err == nil {
		err = p.save()
	}
	unlock()
	if err != nil {
		if absent != nil {
			os.Remove(dir)
		}
		return err
	}
	return withDevPair(dir, do)
}

func layOutDevPair(ctx context.Context, dir string, port, dbPort, clusterPort int) (*devPair, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	if len(entries) > 0 {
		return nil, &postgres.SetupError{Problem: dir + " holds something that is no pair", Remedy: "name a directory that is empty or absent"}
	}
	user, err := postgres.CurrentOSUser()
	if err == nil && user.UID == 0 { // PostgreSQL refuses to be root
		user, err = postgres.ServiceUser()
	}
	if err != nil {
		return nil, err
	}
	p := newDevPair(dir, user, port, dbPort, clusterPort)
	if err := p.checkPorts(ctx); err != nil { // before anything is made that would fix the ports
		return nil, err
	}
	return p, ownDir(dir)
}
