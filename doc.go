// Package keytrustee is the map of the house. It holds no code; the rooms, in reading order:
//
//	kms            the vocabulary: keys, versions, principals, errors, and Service, the one door to them
//	kms/rest       HTTP in, HTTP out: Hadoop's KMS protocol, and forwarding from the passive to the active
//	kms/auth       who calls: simple authentication, the signed cookie, the peer's assertion
//	kms/acl        who may: the Policy
//	kms/audit      what was asked and what came of it: the Recorder
//	kms/seal       root keys, the key-encryption key, sealing, proofs
//	kms/pgstore    kms.Store on PostgreSQL
//	kms/kmstest    kms.Store in memory, and the conformance test that both stores pass
//	postgres       one PostgreSQL server of this host
//	replication    the pair: states, gate, horizon, gated start
//	replication/peer  the protocol between the two daemons
//	certs          the cluster's authority and each host's certificates
//	host           a host's life: init, bootstrap, join, enable
//	status         one report for ktadmin and for load balancers
//	cmd            keytrusteed, the daemon, and ktadmin, the operator's tool
//
// docs/request.md walks a request through them, docs/states.md draws the states of a node, docs/protocol.md says why the
// pair keeps its promises.
package keytrustee
