package main

import (
	"context"
	"errors"

	"keytrustee/kms"
	"keytrustee/replication"
)

// remedies says which host can do better while the gate of an active, or a passive without its active, gives a reason; it
// decides the class of the refusal, and so whether a stock client asks the other host and whether its user reads our
// sentence. Reasons that do not stand here mean the same at the other host for as long as that one answers.
var remedies = map[replication.Reason]kms.Remedy{
	replication.Starting:         kms.ElsewherePeer,
	replication.Fenced:           kms.ElsewherePeer,
	replication.EpochConflict:    kms.ElsewherePeer,
	replication.HistoryDiffers:   kms.ElsewherePeer,
	replication.PassiveAhead:     kms.ElsewherePeer,
	replication.NeedsClone:       kms.ElsewherePeer,
	replication.IdentityMismatch: kms.ElsewherePeer,
	replication.Restoring:        kms.ElsewherePeer,
	replication.Switchover:       kms.ElsewherePeer,
	replication.Busy:             kms.ElsewherePeer,
	replication.AuditUnavailable: kms.ElsewherePeer,

	replication.NoPassive:          kms.ElsewhereNone,
	replication.PassiveDaemonDown:  kms.ElsewhereNone,
	replication.PassiveUnreachable: kms.ElsewhereNone,
	replication.ActiveUnreachable:  kms.ElsewhereNone,
}

// refusal turns what the gate says into what the client is told.
func refusal(c *replication.ClosedError) *kms.ReadOnlyError {
	remedy, fixed := remedies[c.Reason]
	if !fixed {
		remedy = kms.ElsewhereNone
		if c.PeerAnswers {
			remedy = kms.ElsewhereSame
		}
	}
	return &kms.ReadOnlyError{Reason: kms.Reason(c.Reason), Sentence: c.Sentence, Host: c.Host, Since: c.Since, Remedy: remedy}
}

// gate is replication's gate as kms.Service enters it.
type gate struct{ *replication.Gate }

// Enter translates the gate's refusals, also the one that ends the context it gives.
func (g gate) Enter(ctx context.Context) (context.Context, func(), error) {
	inside, leave, err := g.Gate.Enter(ctx)
	if err != nil {
		return nil, nil, translate(err)
	}
	translated, cancel := context.WithCancelCause(context.WithoutCancel(inside))
	stop := context.AfterFunc(inside, func() { cancel(translate(context.Cause(inside))) })
	return translated, func() { stop(); leave(); cancel(context.Canceled) }, nil
}

func translate(err error) error {
	if closed, ok := errors.AsType[*replication.ClosedError](err); ok {
		return refusal(closed)
	}
	return err
}
