package kms

import (
	"errors"
	"fmt"
	"time"
)

// The error taxonomy, whole. kms/rest/errors.go gives each its HTTP status and Java class.
var (
	ErrDenied          = errors.New("not allowed")
	ErrKeyNotFound     = errors.New("key does not exist")
	ErrVersionNotFound = errors.New("key version does not exist")
	ErrKeyExists       = errors.New("key already exists")
	// ErrOutcomeUnknown: COMMIT was sent and its answer or the peer's confirmation did not come in time. The change may
	// exist, now or later. Only the same request, delivered again, finds out.
	ErrOutcomeUnknown = errors.New("the outcome is unknown")
	// ErrConflict comes from a Store: the key changed since it was read. The caller reads again.
	ErrConflict = errors.New("the key changed meanwhile")
)

// InvalidError says that the request is wrong, and how to put it right.
type InvalidError struct {
	Field  string // as the client spells it, such as "length"
	Reason string // continues the sentence that begins with the field, such as "must be 128, 192 or 256"
}

func (e *InvalidError) Error() string { return e.Field + " " + e.Reason }

// DeniedError is ErrDenied with the sentence that Hadoop's clients and tests expect.
type DeniedError struct{ Sentence string }

func (e *DeniedError) Error() string { return e.Sentence }

// Is makes errors.Is(err, ErrDenied) true.
func (e *DeniedError) Is(target error) bool { return target == ErrDenied }

// ExistsError is ErrKeyExists with what the caller may know of the key that has the name.
type ExistsError struct {
	Name        KeyName
	Key         *Key // nil where the caller may not know
	SameOptions bool // what was asked for equals what exists; meaningless without Key
}

func (e *ExistsError) Error() string {
	s := fmt.Sprintf("key %s already exists", e.Name.Quoted())
	if e.Key == nil {
		return s
	}
	if e.Key.Deleted() {
		return fmt.Sprintf("%s: it was deleted at %s by %s and can be undeleted; purge it to use the name again",
			s, stamp(e.Key.Last.At), e.Key.Last.By)
	}
	same := "with other options"
	if e.SameOptions {
		same = "with the same options"
	}
	return fmt.Sprintf("%s: created at %s by %s %s", s, stamp(e.Key.Created), e.Key.CreatedBy, same)
}

// Is makes errors.Is(err, ErrKeyExists) true.
func (e *ExistsError) Is(target error) bool { return target == ErrKeyExists }

// Reason says why a write, or a read, is refused. The texts are one enumeration, used unchanged in HTTP bodies, logs and
// status. Most come through the gate and have a name in package replication only.
type Reason string

// The reasons that are found on this side of the gate. The gate gives the first three too, in the same spelling.
const (
	ReasonStarting          Reason = "starting"
	ReasonActiveUnreachable Reason = "active_unreachable"
	ReasonRootKeyMismatch   Reason = "root_key_mismatch"
	ReasonDataDamaged       Reason = "data_damaged"      // one read's: this host's database has lost what was asked for
	ReasonBusy              Reason = "busy"              // one request's
	ReasonAuditUnavailable  Reason = "audit_unavailable" // likewise
	ReasonOutcomeUnknown    Reason = "outcome_unknown"   // one write's, of which nothing is refused
)

// Remedy says which host can do better, and so decides the class of a refusal.
type Remedy int

// ElsewhereNone ends the call: no other host of the cluster can do it. ElsewhereSame: the other host answers, and would
// say the same. ElsewherePeer: the other host may do it.
const (
	ElsewhereNone Remedy = iota
	ElsewhereSame
	ElsewherePeer
)

// ReadOnlyError refuses a write, or a read that this host can not serve yet. Nothing was attempted.
type ReadOnlyError struct {
	Reason   Reason
	Sentence string    // for people: names the host, since when, and what to do
	Host     string    // the host that the reason is about
	Since    time.Time // when the reason began; zero if unknown
	Remedy   Remedy
}

func (e *ReadOnlyError) Error() string { return e.Sentence }

// NotReadyError is what a Store or an opener returns for a read that this host is not certain of: the other host may
// know. It is a *ReadOnlyError whose remedy is the peer.
func NotReadyError(host string, reason Reason, sentence string) error {
	return &ReadOnlyError{Reason: reason, Sentence: sentence, Host: host, Remedy: ElsewherePeer}
}

// stamp is how sentences write a time.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
