// Package pgtest starts real PostgreSQL servers for tests, as an unprivileged user if the test runs as root.
package pgtest
