package kms

import (
	"errors"
	"fmt"
)

// allow asks whether p may do op. The sentence names the audit operation, as Hadoop's does; key is empty where Hadoop
// does not name one. A denial is on record when allow returns.
func (s *Service) allow(p Principal, op Op, as AuditOp, key KeyName) error {
	if s.Policy.Allows(p, op) {
		return nil
	}
	on := ""
	if key != "" {
		on = " on '" + unquoted(key) + "'"
	}
	return s.deny(p, fmt.Sprintf("User:%s not allowed to do '%s'%s", p.Short, as, on), key, as)
}

// allowKey asks whether p may do op on k.
func (s *Service) allowKey(p Principal, op KeyOp, k Key) error {
	acl := k.ACLName()
	if s.Policy.AllowsKey(p, op, acl) {
		return nil
	}
	sentence := fmt.Sprintf("User [%s] is not authorized to perform [%s] on key with ACL name [%s]!!", p.Short, op,
		unquoted(KeyName(acl)))
	return s.deny(p, sentence, k.Name, AuditOp(op), "ALL")
}

// deny records the denial, once for each operation that Hadoop would log, and returns it.
func (s *Service) deny(p Principal, sentence string, key KeyName, ops ...AuditOp) error {
	for _, op := range ops {
		if err := s.record(Event{Result: AuditUnauthorized, Op: op, Key: key, Principal: p}); err != nil {
			return err
		}
	}
	return &DeniedError{Sentence: sentence}
}

// record writes e durably. What it returns refuses the request.
func (s *Service) record(e Event) error {
	e.At = s.Now()
	err := s.Recorder.Record(e)
	if err == nil {
		return nil
	}
	s.Logger.Error("the audit log can not be written", "op", e.Op, "result", e.Result, "error", err)
	return &ReadOnlyError{
		Reason:   ReasonAuditUnavailable,
		Sentence: "keytrusteed: refused: " + s.Host + " can not write its audit log, and changes nothing without it. Look at the disk and the permissions of its log directory.",
		Host:     s.Host,
		Since:    e.At,
		Remedy:   ElsewherePeer,
	}
}

// note records a read and returns err. Hadoop logs a read of what does not exist as one that went well.
func (s *Service) note(p Principal, op AuditOp, key KeyName, extra string, err error) error {
	e := Event{At: s.Now(), Result: AuditOK, Op: op, Key: key, Principal: p, Extra: extra}
	switch {
	case errors.Is(err, ErrDenied):
		return err // it is on record
	case errors.Is(err, ErrVersionNotFound):
		return err
	case err != nil && !(errors.Is(err, ErrKeyNotFound) && op != AuditGenerateEEK):
		e.Result, e.Err = AuditError, err.Error()
	}
	s.Recorder.Access(e)
	return err
}

// busy refuses what this host could do a moment later.
func (s *Service) busy(why string) error {
	return &ReadOnlyError{Reason: ReasonBusy, Sentence: "refused: host " + s.Host + " is busy: " + why + "; try again",
		Host: s.Host, Since: s.Now(), Remedy: ElsewherePeer}
}

// unquoted is the name with everything unprintable escaped, for Hadoop's sentences, which have quotes of their own.
func unquoted(n KeyName) string {
	q := n.Quoted()
	return q[1 : len(q)-1]
}
