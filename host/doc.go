// Package host is a host's life: what happens to it once, in which order, and how each step is taken again after a crash
// in its middle. ktadmin's commands are thin over it.
//
//	host.go       Host: where its files lie and how it is reached
//	journal.go    the journal: which operation runs, and what it was making when it stopped
//	init.go       Init: the cluster's secrets on its first host, certificates and settings on every one
//	identity.go   a host's own certificates
//	bootstrap.go  Bootstrap: the active's database
//	rundb.go      RunDB: what has to hold before PostgreSQL may start
//	join.go       Join: the joiner's half; admit.go: the active's half, on the cluster listener
//	bundle.go     what of the confdir travels to a joiner
//	enable.go     EnableSync: from the first passive on, writes need both
//	admin.go      the daemon's socket for ktadmin, and its client
//
// Every operation may be repeated: what is done is left alone, what is missing is made, what was half made is made again
// or moved aside. Nothing that exists is ever replaced without being named by the operator.
package host
