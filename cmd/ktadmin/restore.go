package main

import (
	"errors"

	"github.com/spf13/cobra"

	"keytrustee/certs"
	"keytrustee/host"
	"keytrustee/internal/config"
)

func newRestoreCommand(a *app) *cobra.Command {
	var f slaveFlags
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
	f.addJoinFlags(cmd)
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

// abortJoin ends a join of this host that has not ended or, where there is none, the admission of another host here.
func (a *app) abortJoin(f slaveFlags) error {
	c, err := config.Read(a.confdir)
	if err != nil {
		return err
	}
	f.apply(c)
	if err := a.become(c); err != nil {
		return err
	}
	h := hostOf(c)
	journal, err := h.Journal()
	if err != nil {
		return err
	}
	if _, serr := h.Status(); journal == nil && serr == nil {
		if err := adminOf(c).Abandon(a.cmd.Context()); err != nil {
			if errors.Is(err, host.ErrDaemonDown) {
				return &host.HintedError{Err: errors.New("no join of this host has begun that has not ended, and keytrusteed, which would know of another host's, does not run"),
					Hint: "start keytrusteed and repeat the command"}
			}
			return err
		}
		return a.result(host.Aborted{Operation: "admission"}, []row{{"given up", "the host that was admitted and has not come in"}})
	}
	var token *certs.Token
	if f.tokenFile != "" {
		if token, err = f.token(false, host.Restore); err != nil {
			return err
		}
	}
	aborted, err := h.Abort(a.cmd.Context(), token)
	if err != nil {
		return err
	}
	if aborted.Untold != nil {
		a.say("the other host was not told: %v\nrun the same command there, so that it keeps nothing for this host", aborted.Untold)
	}
	rows := []row{{"given up", aborted.Operation}}
	if aborted.PutBack != "" {
		rows = append(rows, row{"put back", aborted.PutBack})
	}
	return a.result(aborted, rows)
}
