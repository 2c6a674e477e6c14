package kms

import "time"

// ChangeKind says what a change did to its key.
type ChangeKind string

// The changes of a key, in the only orders that happen: Created first; Rolled only while the key lives; Undeleted only
// after Deleted; Purged only after Deleted, and last.
const (
	Created   ChangeKind = "created"
	Rolled    ChangeKind = "rolled"
	Deleted   ChangeKind = "deleted"
	Undeleted ChangeKind = "undeleted"
	Purged    ChangeKind = "purged"
)

// Change is one step in a key's life. Changes are never altered; what a key is now follows from the changes so far.
type Change struct {
	ID        ID
	KeyID     ID
	Seq       int // 0 for Created, then without a gap
	Kind      ChangeKind
	Version   ID // the version that Created or Rolled made; zero otherwise
	At        time.Time
	By        string // who made it, as Principal.By says
	From      string // the client's address
	RequestID string // the request's, or empty
}
