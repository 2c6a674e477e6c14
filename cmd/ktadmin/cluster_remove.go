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
		Long: "remove runs on the active, while that passive neither answers nor streams. Without --i-confirm it says whether that could be done, and what\n" +
			"would be, and changes nothing. No log is kept for the passive any more, and writes are refused with no_passive until a host joins. When the\n" +
			"one that was removed is back it serves nothing: ktadmin init-slave --reclone lets it join anew.\n\n" +
			"If it was promoted since this host last heard it, it is the active and has what was written since: do not remove it, leave this host off.",
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&c.Confirm, "i-confirm", "", `"NAME was not promoted", with its name, word for word`)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		c.Name, c.Check = args[0], c.Confirm == ""
		if !c.Check && c.Confirm != replication.NotPromoted(c.Name) {
			return usagef("--i-confirm: say %q, if that is so", replication.NotPromoted(c.Name))
		}
		o, err := a.operate(c)
		if err != nil {
			return err
		}
		if c.Check {
			a.say("nothing was changed; to do it: ktadmin cluster remove %s --i-confirm %q", c.Name, replication.NotPromoted(c.Name))
		}
		return a.operated(o)
	}
	return cmd
}
