package main

import (
	"github.com/spf13/cobra"

	"keytrustee/replication"
)

func newRemoveCommand(a *app) *cobra.Command {
	c := replication.Command{Act: replication.ActRemove}
	cmd := &cobra.Command{
		Use:   "remove NAME",
		Short: "Give up a passive that is gone",
		Long: "remove runs on the active, while that passive neither answers nor streams. No log is kept for it any more, and writes are refused with\n" +
			"no_passive until a host joins. When the one that was removed is back it serves nothing: ktadmin init-slave --reclone lets it join anew.",
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().BoolVar(&c.Check, "dry-run", false, "say what would be done, and change nothing")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		c.Name = args[0]
		return a.act(c)
	}
	return cmd
}
