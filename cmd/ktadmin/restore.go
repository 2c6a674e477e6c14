package main

import (
	"github.com/spf13/cobra"

	"keytrustee/host"
)

func newRestoreCommand(a *app) *cobra.Command {
	var f joinFlags
	cmd := &cobra.Command{
		Use:   "restore --from-survivor ADDRESS --token-file FILE",
		Short: "Rebuild the active on its own host from the passive that survived it",
		Long: "restore runs on the host of an active whose data is destroyed, or is an older copy, under the same name. The passive has every key that was\n" +
			"acknowledged: its database is copied, verified, and goes on here on a timeline of its own. Data that is still here is moved aside,\n" +
			"never deleted. It is refused while the active answers, or while the passive is not whole.\n" +
			"The token comes from ktadmin join-token on the passive. With --abort, on either host, a restore that has not ended is ended.",
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&f.active, "from-survivor", "", "address of the passive that survived")
	cmd.Flags().BoolVar(&f.abort, "abort", false, "end a restore that has not ended")
	f.addTo(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		switch {
		case f.abort:
			return a.abortJoin(f)
		case f.active == "":
			return usagef("--from-survivor is missing: name the address of the passive that survived")
		}
		return a.join(f, host.Restore)
	}
	return cmd
}
