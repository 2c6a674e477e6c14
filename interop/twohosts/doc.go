// Package twohosts tests that the command lines of Key Trustee Server's manual work word for word, and those of our README too: on two
// hosts with names, networks, processes and root directories of their own, made of namespaces on this machine (internal/machine).
//
//	twohosts_test.go  the lines, and what they must have come to
//	site_test.go      the two hosts
//	client_test.go    the stock Hadoop client, on a third network
//	faults_test.go    a wire that is pulled out, services that are restarted
//
// Only root can make namespaces, so the tests are skipped for everybody else.
package twohosts
