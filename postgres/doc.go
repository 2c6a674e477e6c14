// Package postgres is one PostgreSQL server of this host: found, made, configured, started and stopped as an unprivileged
// user; its write-ahead log and control file read without it; its base backups taken and verified.
//
// It knows of no pair and of no keys. Whoever opens a connection for writes that must be on two hosts takes a sealed pool
// from here: PostgreSQL ends the wait of a COMMIT for its standby when it is cancelled, shows the row, and reports
// success, and a driver whose deadline passes sends just that cancellation by itself.
package postgres
