// Package twohosts tests that the command lines of Key Trustee Server's manual work word for word, and those of our README too: on two
// hosts with names, networks, processes and root directories of their own, made of namespaces on this machine, which is left as it was.
//
//	twohosts_test.go  the lines, and what they must have come to
//	client_test.go    the stock Hadoop client, on a third network
//	faults_test.go    a wire that is pulled out, services that are restarted
//	host_test.go      a host, from its start to its end
//	init_test.go      its first process: puts its root directory together
//	service_test.go   `service NAME start|stop`, by the unit's file
//	unit_test.go      how the unit's program is executed
//	programs_test.go  `sudo` and `ssh`
//
// Only root can make namespaces, so the tests are skipped for everybody else.
package twohosts
