// Package pgstore is kms.Store on PostgreSQL, on either host of the pair.
//
// Rows are never altered. A key, its versions and its changes each have a table; what a key is now follows from its
// changes, in order. A change stores the transaction that made it, and whatever that transaction wrote is shown exactly
// if the change is.
//
//	store.go      Store, Config: the two pools
//	migrate.go    Migrate: the tables
//	apply.go      Apply: one change in one transaction
//	commit.go     COMMIT and its three outcomes
//	resolve.go    what became of a COMMIT whose answer was lost
//	horizon.go    which changes a reader may be shown
//	read.go       how often a read is tried, and when the other host is asked
//	unconfirmed.go  how many changes nobody is shown
//	unserved.go   how often the log tells of those that were not served
//	keys.go       reads: keys, versions
//	rows.go       reads for the proof, past the filter
//	sweep.go      removes the material of purged keys
//	inventory.go  every row, known again in another database: what a backup is held against; columns.go: how it is read
//	survey.go     what can be read of a database whose pages are damaged; linked.go: whether anything is missing
//
// PostgreSQL alone does not keep the promise of Store: it shows a row that the standby may lack whenever a waiting COMMIT
// is cancelled, its backend dies, or the server restarts. So a write is done when Horizon says that the peer has flushed,
// replayed and opened it, and a read on the active shows what Horizon says was so confirmed. docs/protocol.md has the rest:
// section 2 the hole, 4 a write, 6 a read.
package pgstore
