package kms

import "context"

// Store keeps keys. It answers reads only with what is durable on every host that it has to be durable on, and says so of
// a write only then. pgstore is the real one; kmstest.TestStore says in code what every Store must do.
//
// All methods may be called concurrently. Slices in arguments stay the caller's and are not kept; results are the
// caller's.
type Store interface {
	// Apply makes one change of a key: c.Kind Created needs key and version, Rolled needs version, the others neither.
	// c.Seq is the key's sequence number as the caller read it, plus one (0 for Created).
	//
	// ctx bounds only what comes before the point of no return; from there on Apply returns when the outcome is known:
	// nil when the change is durable and proven on both hosts and visible to every read after it; ErrConflict if another
	// change of the key came first, or c.RequestID was used before; an *ExistsError (Key set) if the name is taken;
	// *ReadOnlyError with ReasonBusy if it is taken by a change that is not confirmed yet. After those three, and after any
	// error but ErrOutcomeUnknown, nothing was changed. ErrOutcomeUnknown comes only when the Store is closed or its pair
	// changed its epoch.
	Apply(ctx context.Context, c Change, key *Key, version *SealedVersion) error

	// Key returns the key of that name, also a deleted one, never a purged one. ErrKeyNotFound only when that is certain,
	// otherwise a *ReadOnlyError.
	Key(ctx context.Context, name KeyName) (Key, error)
	// Keys returns all keys that are not purged, deleted ones included, ordered by name.
	Keys(ctx context.Context) ([]Key, error)
	// Version returns the version of that name, with its key, also a deleted one. ErrVersionNotFound as Key.
	Version(ctx context.Context, name VersionName) (SealedVersion, Key, error)
	// Versions returns all versions of the key, oldest first; ErrKeyNotFound if it was purged.
	Versions(ctx context.Context, key ID) ([]SealedVersion, error)
	// Current returns the newest version of the key; ErrKeyNotFound if it was purged.
	Current(ctx context.Context, key ID) (SealedVersion, error)
	// ByRequest returns the change that was made under a request's id, and the key it changed, also a purged one (of which
	// ID, Name and Last are left at least); ErrKeyNotFound if there is none.
	ByRequest(ctx context.Context, requestID string) (Change, Key, error)
}

// Sealer turns material into what may be stored, and back. It may be called concurrently.
type Sealer interface {
	// Seal encrypts m for v and fills in KEK, Sealed and Check. It fails, with a *ReadOnlyError, when no key-encryption key
	// is loaded that both hosts can open.
	Seal(v VersionRef, m Material) (SealedVersion, error)
	// Open returns the material of v. It fails if v was sealed for another version, altered, or sealed under a KEK that
	// this host does not have (*ReadOnlyError).
	Open(v SealedVersion) (Material, error)
}

// WriteGate says whether a write may begin.
type WriteGate interface {
	// Enter returns a context for what comes before COMMIT: it ends, with a *ReadOnlyError as its cause, when the gate
	// closes. leave is called when that part is over. A closed gate returns its *ReadOnlyError at once.
	Enter(ctx context.Context) (inside context.Context, leave func(), err error)
	// World names the process's duty and epoch: a claim on an earlier write holds only while it is the same. ok is false
	// in the states in which not even a claim is answered (starting, fenced, restoring).
	World() (world string, ok bool)
}
