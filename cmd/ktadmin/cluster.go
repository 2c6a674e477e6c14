package main

import (
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"keytrustee/host"
	"keytrustee/internal/config"
	"keytrustee/replication"
)

func newClusterCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "Operate the pair",
		Long:  "cluster groups what concerns both hosts. What the other host has to do is relayed to it.",
	}
	cmd.AddCommand(newSummaryCommand(a), newInfoCommand(a), newNodesCommand(a), newHoldCommand(a), newReleaseCommand(a), newRemoveCommand(a), newPromoteCommand(a),
		newSwitchoverCommand(a))
	return cmd
}

// admin reaches this host's daemon for a command that touches no file: root stays root, and the daemon is told so by the
// kernel.
func (a *app) admin() (host.AdminClient, error) {
	c, err := config.Load(a.confdir)
	if err != nil {
		return host.AdminClient{}, err
	}
	_, err = a.serviceUser(c)
	return adminOf(c), err
}

// operate gives the daemon a command for the pair.
func (a *app) operate(c replication.Command) (replication.Operated, error) {
	client, err := a.admin()
	if err != nil {
		return replication.Operated{}, err
	}
	c.By = os.Getenv("SUDO_USER")
	return client.Operate(a.cmd.Context(), c)
}

// act gives the daemon a command for the pair that is carried out when it returns, and shows what came of it.
func (a *app) act(c replication.Command) error {
	o, err := a.operate(c)
	if err != nil {
		return err
	}
	return a.operated(o)
}

// operated shows what came of a command.
func (a *app) operated(o replication.Operated) error {
	rows := []row{{"done", o.Sentence}, {"at", o.Host}}
	if len(o.Plan) > 0 {
		rows[0].name = "checked"
		for _, f := range o.Findings {
			rows = append(rows, row{"good", f.What})
		}
		rows = append(rows, row{"would be done", o.Plan[0]})
		for _, line := range o.Plan[1:] {
			rows = append(rows, row{"", line})
		}
	}
	return a.result(o, rows)
}

// allFound is an error that names every finding that stands against an act, nil if none does.
func allFound(o replication.Operated) error {
	var against, hints []string
	for _, f := range o.Findings {
		if !f.OK {
			against = append(against, f.What)
			if !slices.Contains(hints, f.Hint) {
				hints = append(hints, f.Hint)
			}
		}
	}
	if len(against) == 0 {
		return nil
	}
	return &standsAgainstError{o.Host + ": " + strings.Join(against, "; "), strings.Join(hints, "; ")}
}

// standsAgainstError: the pair does not allow it now.
type standsAgainstError struct{ problem, remedy string }

func (e *standsAgainstError) Error() string { return e.problem }
func (e *standsAgainstError) Hint() string  { return e.remedy }
