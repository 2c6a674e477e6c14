package main

import (
	"context"
	"errors"
	"fmt"
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
			"passive can not take over, the active goes on as before. It ends with 0 when writes are open at the new active. Given once more, it takes\n" +
			"the duties back. With --check nothing is changed, and every precondition told.",
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

// switched waits until a switchover that has begun has ended and writes are open at the new active, and tells it. That it was taken
// back is an error, and so is that it has not come so far in time.
func (a *app) switched(ctx context.Context, o replication.Operated, patience time.Duration) error {
	begun, again := time.Now(), host.SecondSwitchover(o.Host)
	a.say("%s", o.Sentence)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	outcome, err := a.follow(ctx, o.Operation.ID)
	if errors.Is(err, errUnended) {
		return &host.HintedError{Err: err, Hint: "ktadmin status shows how far it is, and what it waits for. " + again}
	} else if err != nil {
		return err
	}
	client, err := a.admin()
	if err != nil {
		return err
	}
	view, err := awaitOpen(ctx, client)
	if err != nil {
		return &host.UnsureError{Err: fmt.Errorf("%s; how it stands now is not known: %w", outcome, err), Do: again}
	}
	if view.Epoch != o.Operation.Epoch {
		return &host.HintedError{Err: errors.New(outcome), Hint: "put right what kept it from it, then repeat the command; ktadmin cluster switchover --check looks at everything"}
	}
	if err := unopened(outcome, view.Writes); err != nil {
		return err
	}
	o.Sentence, o.Operation = outcome, nil
	return a.result(o, []row{{"done", outcome}, {"active", view.Writes.Host}, {"epoch", view.Epoch.String()}, {"took", time.Since(begun).Round(10 * time.Millisecond).String()}})
}

// openLimit is how long the gate of a new active that is confirmed may take to be seen open.
const openLimit = 5 * time.Second

// awaitOpen is the pair once writes are open, or have not been opened for a while.
func awaitOpen(ctx context.Context, client host.AdminClient) (view host.Cluster, err error) {
	for limit := time.Now().Add(openLimit); ; {
		view, err = client.View(ctx)
		if err == nil && view.Writes.State == host.WritesOpen || time.Now().After(limit) {
			return view, err
		}
		select {
		case <-ctx.Done():
			return view, err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// errUnopened: a switchover has ended, and writes are not open.
var errUnopened = errors.New("writes are not open")

// unopened is nil when writes are open.
func unopened(outcome string, w host.Writes) error {
	if w.State == host.WritesOpen {
		return nil
	}
	return &host.HintedError{Err: fmt.Errorf("%s; %w at %s: %s", outcome, errUnopened, w.Host, w.What), Hint: "do not repeat the command, a second switchover takes the duties back. " + w.Do}
}
