// Package keytrustee is the map of the house. It holds no code; the rooms, in reading order:
//
//	kms                    the vocabulary: keys, versions, principals, errors, and Service, the one door to them
//	kms/rest               HTTP in, HTTP out: Hadoop's KMS protocol, and forwarding from the passive to the active
//	kms/auth               who calls: simple authentication, the signed cookie, the peer's assertion
//	kms/acl                who may: the Policy
//	kms/audit              what was asked and what came of it: the Recorder
//	kms/seal               root keys, the key-encryption key, sealing, proofs
//	kms/pgstore            kms.Store on PostgreSQL
//	kms/kmstest            kms.Store in memory, and the conformance test that every store passes
//	postgres               one PostgreSQL server of this host
//	postgres/pgtest        real PostgreSQL servers for tests
//	replication            the pair: states, gate, horizon, gated start; knows no keys
//	replication/peer       the protocol between the two daemons
//	replication/pairtest   a real pair for tests, with faults
//	replication/forgetfs   a file system for tests that forgets what was not synced
//	faults                 the random fault test: a pair hurt at random under load, and checkers of what clients were told
//	backup                 encrypted backups of one host, each restored before it counts
//	certs                  the cluster's authority and each host's certificates
//	host                   a host's life: init, bootstrap, join, enable
//	status                 what a host says of itself to load balancers: Vault's health contract
//	metrics                what a host says of itself to Prometheus
//	internal/cached        what tests and the demo fetch from registries, once on a machine
//	internal/config        keytrustee.yaml and node.yaml in one struct, validated whole
//	internal/durable       changes files in ways that survive power loss
//	internal/freeport      ports for servers of tests and of the demo
//	internal/gpgtest       OpenPGP keys for tests, made by GnuPG
//	internal/indextest     for tests that hold a page or a table to the tests which it names
//	internal/machine       hosts for tests, made of namespaces: a network that can be cut, disks that can be full
//	internal/progress      how far a long command is: one line that is rewritten on a terminal, lines elsewhere
//	internal/release       the version of what is running
//	internal/seam          where a test takes hold of a program: its clock, and points to stop at; nothing in the product
//	internal/spare         a process that takes of the processors what nobody else wants
//	internal/sshtest       OpenSSH servers for tests
//	internal/undumped      keeps the memory of a program that holds secrets from other processes of its user
//	cmd/internal/auditlog  the audit log of that host, and what an operator's commands leave in it
//	cmd/internal/thishost  the host that a program runs on, out of its configuration
//	cmd/keytrusteed        the daemon: introduces the rooms to each other
//	cmd/ktadmin            the operator's tool
//	hazards                every known way to lose a write or to show a ghost, played on a real pair
//	runbook                types the pages of docs/runbook, on a pair that has just lost what each is about
//	interop                the stock Hadoop client, as a program to run
//	interop/twohosts       the original's command lines, between two hosts made of namespaces
//	interop/disasters      a host, or both, lost for good and brought back, by the stock client's word
//	mutants                switches guards off, one at a time, to see that the tests notice
//	bench                  what backups cost, beside what one would do by hand
//	demo                   shows a newcomer the promises, with the stock Hadoop client
//
// docs/request.md walks a request through them, docs/states.md draws the states of a node, docs/protocol.md says why the
// pair keeps its promises. arrows_test.go holds which room may import which.
package keytrustee
