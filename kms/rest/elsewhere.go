package rest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"keytrustee/kms"
)

// refusal says why the write can not be sent to the active. While the active is heard the client may find it.
func refusal(host string, route Route) error {
	if route.Refusal != nil {
		return route.Refusal
	}
	return &kms.ReadOnlyError{
		Reason:   kms.ReasonActiveUnreachable,
		Sentence: host + " is the passive host and could not reach the active, which was heard a moment ago; nothing was sent. Ask again, or ask the active itself",
		Remedy:   kms.ElsewherePeer,
	}
}

// notActive refuses what the other host believed to be this one's.
func notActive(host string, route Route) error {
	e := kms.ReadOnlyError{Reason: kms.ReasonActiveUnreachable, Host: host,
		Sentence: host + " is not the active host, though its peer forwarded a write to it; ktadmin status says which host is what"}
	if route.Refusal != nil {
		e = *route.Refusal
	}
	e.Remedy = kms.ElsewherePeer
	return &e
}

// A passive that stood still, or was cut off, can forward a write before the gate has heard of it again.
const (
	senderHeard = 500 * time.Millisecond // how long the gate is given for that
	gateLooked  = 20 * time.Millisecond
)

// hearSender returns when the gate does not say that nobody else answers, which the passive that forwards this write disproves; or after
// senderHeard, since the way back to it may be cut.
func (x *exchange) hearSender() {
	for until := time.Now().Add(senderHeard); isReadOnly(kms.ElsewhereNone)(x.Service.MayWrite(x.ctx)) && time.Now().Before(until); {
		select {
		case <-x.ctx.Done():
			return
		case <-time.After(gateLooked):
		}
	}
}

// toSender is the refusal of a write as the passive that forwards it may pass it on: a host that answers is there to be asked.
func toSender(err error) error {
	refused, ok := errors.AsType[*kms.ReadOnlyError](err)
	if !ok || refused.Remedy != kms.ElsewhereNone {
		return err
	}
	e := *refused
	e.Remedy = kms.ElsewhereSame
	return &e
}

// recently adds to a refusal that ends the call what this host knows: what it shows is on both disks.
func (x *exchange) recently(err error) error {
	kind, name := x.change()
	if name == "" {
		return err
	}
	var refused *kms.ReadOnlyError
	var unknown *unknownError
	final := errors.As(err, &unknown) || errors.As(err, &refused) && refused.Remedy == kms.ElsewhereNone
	if !final {
		return err
	}
	ctx, cancel := context.WithTimeout(x.ctx, 500*time.Millisecond)
	defer cancel()
	change, ok := x.Service.Recent(ctx, x.principal, kind, name)
	if !ok {
		return err
	}
	more := fmt.Sprintf("; key %s was %s here %d s ago by you: your request was done", name.Quoted(), change.Kind,
		int(time.Since(change.At).Seconds()))
	if unknown != nil {
		return &unknownError{host: unknown.host, more: more}
	}
	e := *refused
	e.Sentence += more
	return &e
}

// change is what the write would do, and to which key; no name if that can not be told.
func (x *exchange) change() (kms.ChangeKind, kms.KeyName) {
	switch x.row.kind {
	case kms.Created:
		r, err := x.createRequest()
		if err != nil {
			return "", ""
		}
		return kms.Created, kms.KeyName(r.Name)
	case trusteeOp:
		kind, err := x.trusteeKind()
		if err != nil {
			return "", ""
		}
		return kind, x.key()
	}
	return x.row.kind, x.key()
}
