package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"keytrustee/host"
	"keytrustee/replication"
)

func newSwitchoverCommand(a *app) *cobra.Command {
	c := replication.Command{Act: replication.ActSwitchover}
	var abort bool
	var patience time.Duration
	cmd := &cobra.Command{
		Use:     "switchover",
		Aliases: []string{"step-down"},
		Short:   "Let the two hosts change their duties",
		Long: "switchover runs on either host. The active refuses writes, shuts its PostgreSQL down and, once the passive has its log to the last byte,\n" +
			"hands over: the passive becomes the active, and the active the passive. It takes a few seconds; keys are read all the while. Where the\n" +
			"passive can not take over, the active goes on as before. With --check nothing is changed, and every precondition told.",
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&c.Check, "check", false, "say whether it could be done, and what would be; change nothing")
	cmd.Flags().BoolVar(&abort, "abort", false, "end the switchover that is under way, while the passive has not begun to take over")
	cmd.Flags().DurationVar(&patience, "timeout", 2*time.Minute, "how long to wait for its end; it goes on in any case")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if abort {
			if c.Check {
				return usagef("--abort: there is nothing to check")
			}
			c.Act = replication.ActAbort
		}
		o, err := a.operate(c)
		switch {
		case err != nil:
			return err
		case c.Check:
			return errors.Join(a.preconditions(o), allFound(o))
		case abort:
			return a.operated(o)
		}
		return a.switched(cmd.Context(), o, patience)
	}
	return cmd
}

// preconditions shows what was looked at, whether it is so, and what would be done.
func (a *app) preconditions(o replication.Operated) error {
	var rows []row
	for _, f := range o.Findings {
		name, text := "no", f.What
		if f.OK {
			name = "yes"
		} else if f.Hint != "" {
			text += " (" + f.Hint + ")"
		}
		rows = append(rows, row{name, text})
	}
	name := "would be done"
	for _, line := range o.Plan {
		rows = append(rows, row{name, line})
		name = ""
	}
	return a.result(o, rows)
}

// switched waits for the end of a switchover that has begun, and tells it. That it was taken back is an error.
func (a *app) switched(ctx context.Context, o replication.Operated, patience time.Duration) error {
	begun := time.Now()
	a.say("%s", o.Sentence)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	outcome, err := a.follow(ctx, o.Operation.ID)
	if err != nil {
		return err
	}
	client, err := a.admin()
	if err != nil {
		return err
	}
	s, err := client.Status(ctx)
	if err != nil {
		return err
	}
	if s.State.Epoch != o.Operation.Epoch {
		return &host.HintedError{Err: errors.New(outcome), Hint: "put right what kept it from it, then repeat the command; ktadmin cluster switchover --check looks at everything"}
	}
	active := s.State.Self
	if s.State.Duty == replication.Passive {
		active = s.State.Peer.Name
	}
	o.Sentence, o.Operation = outcome, nil
	return a.result(o, []row{{"done", outcome}, {"active", active}, {"epoch", s.State.Epoch.String()}, {"took", time.Since(begun).Round(10 * time.Millisecond).String()}})
}
