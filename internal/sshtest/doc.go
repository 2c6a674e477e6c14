// Package sshtest has OpenSSH servers for tests, real ones that tools/need installs, a relay that cuts what is sent to them, and a server that
// lies, which theirs does not.
package sshtest
