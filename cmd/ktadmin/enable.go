package main

import (
	"github.com/spf13/cobra"
)

func newEnableCommand(a *app) *cobra.Command {
	var pgRoot string
	cmd := &cobra.Command{
		Use:   "enable-synchronous-replication",
		Short: "Let every write need both hosts, for good",
		Long:  "enable-synchronous-replication runs on the active, once the passive replicates. Nothing has to be restarted. Before it, no write is taken.",
		Args:  cobra.NoArgs,
	}
	cmd.Flags().StringVar(&pgRoot, "pg-rootdir", "", "the database's directory, if it is not the configured one")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := a.load()
		if err != nil {
			return err
		}
		if err := absolute(&pgRoot); err != nil {
			return err
		}
		if pgRoot != "" && pgRoot != c.PGRootDir {
			return usagef("--pg-rootdir: the database of this host is in %s, not in %s", c.PGRootDir, pgRoot)
		}
		client := adminOf(c)
		if err := client.EnableSync(cmd.Context()); err != nil {
			return err
		}
		s, err := client.Status(cmd.Context())
		if err != nil {
			return err
		}
		if s.Recovery.Confirmed == nil {
			a.say("note: nobody has proven yet that the recovery key is kept: ktadmin root-key confirm-recovery")
		}
		writes := "open"
		if !s.Report.Open {
			writes = "closed: " + string(s.Report.Reason) + "; ktadmin status says more"
		}
		return a.result(map[string]any{"synchronous": s.Report.SyncEnabled, "passive": s.Report.PeerName, "open": s.Report.Open, "reason": s.Report.Reason},
			[]row{{"replication", "synchronous"}, {"passive", s.Report.PeerName}, {"writes", writes}})
	}
	return cmd
}
