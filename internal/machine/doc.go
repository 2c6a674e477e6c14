// Package machine gives a test hosts: files, names, users, processes and a network of their own, made of namespaces on this machine, which
// is left as it was.
//
//	machine.go   New: the hosts, the network between them, and a third place on it for clients
//	host.go      a host, from its start to its end
//	births.go    the thread that hosts are started on, which lives as long as they may
//	command.go   what a test does on a host: commands, files, processes
//	inside.go    connections that begin on a host, or where the clients are
//	network.go   the switch and the wires
//	java.go      a JVM where the clients are
//	cut.go       what the switch lets through
//	delay.go     a line on which everything takes longer
//	names.go     a host that knows no names any more
//	disk.go      a disk of its own, which can be full
//	init.go      a host's first process: puts its root directory together
//	install.go   what is on a host that a package would have installed
//	programs.go  `sudo` and `ssh`
//	service.go   `service NAME start|stop`, by the unit's file
//	unit.go      how the unit's program is executed
//
// Everything of a host ends with its first process: at the test's end, or with the test's process, however that ends. Its processes are
// numbered from a million on, so that a number that one of its programs has told means nobody elsewhere (Host.Outside). What is left when
// the test's process was killed are files below its temporary directory.
//
// The programs of a host, but the two that are tested, are the test's own: which one it is, its name says.
//
// Only root can make namespaces, so that a test is skipped for everybody else.
package machine
