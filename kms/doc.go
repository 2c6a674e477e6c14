// Package kms is the vocabulary of a key server and its one door, Service.
//
// The words are Hadoop's KeyProvider words (org.apache.hadoop.crypto.key.KeyProvider): a Key has Metadata and
// KeyVersions, an EncryptedKeyVersion (EEK) is a data key encrypted with one of them. Service decides and says in which
// order things happen: allow, record, claim or enter the gate, make, seal, store, record. What it needs from the rest of
// the house it names in store.go and policy.go and audit.go; this package imports the standard library only.
package kms
