// Package sshtest has OpenSSH servers for tests, real ones that tools/need installs, and a relay that cuts what is sent to them.
package sshtest
