package main

import (
	"github.com/spf13/cobra"

	"keytrustee/host"
)

func newInitSlaveCommand(a *app) *cobra.Command {
	var f joinFlags
	cmd := &cobra.Command{
		Use:     "init-slave",
		Aliases: []string{"init-passive"},
		Short:   "Make this host the passive: join, and copy the active's database",
		Long: "init-slave joins the pair whose active it is told of. It wants a token of ktadmin join-token (--token-file, KEYTRUSTEE_JOIN_TOKEN,\n" +
			"or typed at a terminal), or a confdir that was copied from the active (rsync --exclude .ssl).\n\n" +
			"With --reclone a host of the pair whose data is of no use (fenced, needs_clone, damaged, gone) joins anew: its data is moved aside,\n" +
			"never deleted. Its services have to be stopped. The passive of the active needs no token, a host that was replaced does.\n" +
			"With --abort a join that has not ended is ended: what was moved aside is put back. On the active it gives up a host that was\n" +
			"admitted and did not come.",
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.active, "master", "", "address of the active (default: the token's)")
	flags.StringVar(&f.active, "active", "", "the same as --master")
	flags.BoolVar(&f.noImport, "no-import-key", false, "use the root key of the copied confdir, and no token")
	flags.BoolVar(&f.reclone, "reclone", false, "this host is one of the pair and joins anew; its data is moved aside")
	flags.BoolVar(&f.abort, "abort", false, "end a join that has not ended")
	f.addTo(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		switch {
		case f.reclone && (f.abort || f.noImport):
			return usagef("--reclone excludes --abort and --no-import-key")
		case f.abort:
			return a.abortJoin(f)
		case f.reclone:
			return a.join(f, host.Reclone)
		}
		return a.join(f, host.NewPassive)
	}
	return cmd
}
