// Package kms is the vocabulary of a key server and its one door, Service.
//
// The words are Hadoop's KeyProvider words (org.apache.hadoop.crypto.key.KeyProvider): a Key has Metadata and
// KeyVersions, an EncryptedKeyVersion (EEK) is a data key encrypted with one of them. Service decides and says in which
// order things happen: allow, record, claim or enter the gate, make, seal, store, record. What it needs from the rest of
// the house it names itself; this package imports the standard library only.
//
//	key.go version.go eek.go change.go id.go  the words
//	principal.go errors.go                    who calls; every error there is
//	store.go policy.go audit.go               what Service needs: Store, Sealer, WriteGate; Policy; Recorder
//	service.go                                Service
//	read.go eek_ops.go lookup.go cache.go     reads; what is remembered of keys
//	create.go change_key.go                   writes, as a caller sees them
//	write.go attempt.go                       the way of a write: one delivery; the one attempt that makes the change
//	repeat.go resolve.go hand.go              a write that is delivered again is the same write (docs/repeats.md)
//	allow.go                                  asks the Policy, puts on record
package kms
