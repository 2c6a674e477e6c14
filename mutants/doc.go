// Package mutants switches the guards of the house off, one at a time, and has the tests run against a house without it:
// a test must notice. A guard whose removal nothing notices is untested, or useless.
//
// A row names a file, a text that occurs in it once, what stands there instead, the promise that is broken then, and the
// tests that have to say so. Nothing on the disk is changed: the go command is given the mutated file by -overlay, also
// where a test builds the programs.
//
//	make mutants                    every row
//	make mutants ROWS='one hand'    the rows whose name or file matches
//
// TestRows runs with all other tests and holds the rows to the house: the text is there once, what stands there instead
// compiles, the tests exist. Who changes a guard changes its row.
//
//	row_test.go          what a row is
//	rows_test.go         TestRows
//	mutants_test.go      TestMutants, which make mutants runs
//	repeats_test.go      rows: writes that are delivered again
//	service_test.go      rows: caches, rights, audit
//	store_test.go        rows: COMMIT, its outcome, the filter
//	horizon_test.go      rows: what an acknowledgement waits for
//	start_test.go        rows: starts, comparison, recovery, fencing
//	decide_test.go       rows: every rule of the gate
//	operations_test.go   rows: hold, promotion, removal
//	seal_test.go         rows: sealing, proofs
//	opened_test.go       rows: backups, and what opens them
//	admission_test.go    rows: who is let in, who is believed to be the peer
//	backups_test.go      rows: when a backup is made and by whom, which ones go
//	certificates_test.go rows: certificates that are renewed, a root key that is made anew
//	orphaned_test.go     rows: programs that go on when their parent has been killed
//	damage_test.go       rows: pages that are damaged, rows that are missing
//	dump_test.go         rows: a database of another version, out of a dump; copies that a command asks for
//	openpgp_test.go      rows: OpenPGP keys and messages
//	ship_test.go         rows: what is sent elsewhere, what is removed there
//	shown_test.go        rows: what a command that takes long shows
package mutants
