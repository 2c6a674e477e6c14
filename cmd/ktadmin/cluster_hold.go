package main

import (
	"time"

	"github.com/spf13/cobra"

	"keytrustee/replication"
)

func newHoldCommand(a *app) *cobra.Command {
	c := replication.Command{Act: replication.ActHold}
	cmd := &cobra.Command{
		Use:   "hold --reason TEXT",
		Short: "Refuse writes for a while",
		Long: "hold runs on either host. Writes are refused with the reason operator_hold and the text from when it returns; reads go on.\n" +
			"It ends by itself when its time is over, or with ktadmin cluster release. A hold that is under way is replaced.",
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&c.Note, "reason", "", "why, for those whose writes are refused")
	cmd.Flags().DurationVar(&c.For, "for", 30*time.Minute, "when it ends by itself")
	cmd.RunE = func(*cobra.Command, []string) error {
		switch {
		case c.Note == "":
			return usagef("--reason: those whose writes are refused are told why")
		case c.For < time.Second:
			return usagef("--for: %v is less than a second", c.For)
		}
		return a.act(c)
	}
	return cmd
}

func newReleaseCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "release",
		Short: "End a hold on writes",
		Long:  "release runs on either host. Writes are taken again as soon as nothing else forbids them, which ktadmin status shows.",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return a.act(replication.Command{Act: replication.ActRelease}) },
	}
}
