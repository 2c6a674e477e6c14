// Package kmstest is for tests of what is built on package kms: a Service on a Store in memory that can fail in every way
// that the real one can, with a gate, an audit log and rules that the test moves; and TestStore, which says in code what
// every kms.Store must do.
package kmstest
