package main

import (
	"errors"

	"keytrustee/certs"
	"keytrustee/host"
	"keytrustee/internal/config"
)

// abortJoin ends a join of this host that has not ended or, where there is none, the admission of another host here.
func (a *app) abortJoin(f joinFlags) error {
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
	for _, path := range aborted.Left {
		rows = append(rows, row{"left", path + ", which the restore had not made"})
	}
	for _, path := range aborted.Aside {
		rows = append(rows, row{"moved aside", path + ", which may be the restore's or what you have put there"})
	}
	return a.result(aborted, rows)
}
