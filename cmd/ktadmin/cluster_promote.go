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

func newPromoteCommand(a *app) *cobra.Command {
	c := replication.Command{Act: replication.ActPromote}
	var patience time.Duration
	cmd := &cobra.Command{
		Use:   "promote --fenced NAME",
		Short: "Make this passive the active, without the one it had",
		Long: "promote runs on the passive, when its active is lost. Without --i-confirm it says whether that could be done, and what would be, and changes\n" +
			"nothing. This host's data is read first, for up to 40 s; it says when it did not get to the end, and ktadmin db check reads all of it. Where data\n" +
			"is damaged it is refused, and the refusal has the words by which an operator gives up what is lost. Without damage nothing is missing\n" +
			"that was acknowledged.\n" +
			"If the old active still lives, two hosts serve as the active: so switch it off.\n" +
			"On an active that waits for its passive in a switchover, or after ktadmin restore, it goes on without that one, which is lost.",
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&c.Name, "fenced", "", "the name of the other host, which is switched off")
	cmd.Flags().StringVar(&c.Confirm, "i-confirm", "", `"NAME is powered off", with its name, word for word; or what a refusal says`)
	cmd.Flags().StringVar(&c.Note, "reason", "", "why, for those who read of it later")
	cmd.Flags().DurationVar(&patience, "timeout", 2*time.Minute, "how long to wait for its end; it goes on in any case")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch c.Check = c.Confirm == ""; {
		case c.Name == "":
			return usagef("--fenced: name the active that is switched off; ktadmin status shows it")
		case !c.Check && c.Confirm != replication.Confirmation(c.Name) && c.Confirm != replication.LossConfirmation(c.Name):
			return usagef("--i-confirm: say %q, if that is so", replication.Confirmation(c.Name))
		}
		o, err := a.operate(c)
		if err != nil {
			return err
		}
		if c.Check {
			if err := allFound(o); err != nil {
				return err
			}
			a.say("nothing was changed; to do it: ktadmin cluster promote --fenced %s --i-confirm %q", c.Name, replication.Confirmation(c.Name))
			return a.operated(o)
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), patience)
		defer cancel()
		outcome, err := a.follow(ctx, o.Operation.ID)
		if err != nil {
			return err
		}
		o.Sentence, o.Operation = outcome, nil
		return a.operated(o)
	}
	return cmd
}

// follow waits until the operation of that ID has ended on this host, whose daemon may start anew meanwhile, and returns how. It tells
// each step.
func (a *app) follow(ctx context.Context, id string) (outcome string, err error) {
	client, err := a.admin()
	if err != nil {
		return "", err
	}
	told := ""
	for {
		s, err := client.Status(ctx)
		if err == nil && s.State != nil {
			if o := s.State.Outcome; o != nil && o.ID == id {
				return o.Sentence, nil
			}
			if o := s.State.Operation; o != nil && o.ID == id && o.Step != told {
				told = o.Step
				a.say("%s: %s", o.Kind, stepText(o.Step))
			}
		}
		select {
		case <-ctx.Done():
			if err == nil {
				err = errors.New("it answers")
			}
			return "", &host.HintedError{Err: fmt.Errorf("%w at the step %q, and goes on (keytrusteed: %v)", errUnended, told, err),
				Hint: "ktadmin status shows how far it is, and what it waits for"}
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// stepText says a step in words.
func stepText(step string) string {
	if words, ok := stepWords[step]; ok {
		return words
	}
	return step
}

var stepWords = map[string]string{
	replication.StepClose:   "writes are refused, those under way end",
	replication.StepStop:    "the active's PostgreSQL is shut down",
	replication.StepHand:    "the passive compares the end of the log, byte for byte",
	replication.StepPrepare: "this host knows that it may be told to take over",
	replication.StepLeave:   "this host takes over: it streams from nobody any more",
	replication.StepFork:    "PostgreSQL becomes a primary",
	replication.StepTake:    "this host becomes the active",
	replication.StepFollow:  "this host is the passive and starts to follow",
	replication.StepConfirm: "this host is the active and waits for its passive",
}

// errUnended: an operation has begun and has not ended in time.
var errUnended = errors.New("the operation has not ended in time: it is")
