// Package postgres is one PostgreSQL server of this host: found, made, configured, started and stopped as an unprivileged
// user; its write-ahead log and control file read without it; its base backups taken and verified.
//
// It knows of no pair and of no keys. Whoever opens a connection for writes that must be on two hosts takes a sealed pool
// from here: PostgreSQL ends the wait of a COMMIT for its standby when it is cancelled, shows the row, and reports
// success, and a driver whose deadline passes sends just that cancellation by itself.
//
//	find.go osuser.go errors.go    the programs; the user that runs them; what a host lacks
//	server.go initdb.go            Server: where one lies; Init makes its database
//	settings.go hba.go             what it is set to; whom it lets in
//	prepare.go process.go pid.go   before a start; start, stop, reload; which process it is
//	pool.go controlwrite.go        connections that can not be cancelled; writes that wait for no standby
//	lsn.go snapshot.go             positions, timelines, transactions
//	control.go wal.go walend.go segment.go  what a data directory says without its server; segments of its log, for another host
//	backup.go signal.go            base backups; what the next start will be
//	pages.go                       pages that are not what was written
//	sender.go                      who sends a base backup
//	stream.go throwaway.go         base backups and dumps that touch no disk; a server that is started to be thrown away
//	copy.go                        a table out of a database, row by row
//	dump.go                        a dump becomes a database, of another major version too
package postgres
