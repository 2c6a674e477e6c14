// Package certs is the cluster's certificate authority and what it issues.
//
// A cluster has one Authority, made when its first host is. It signs two certificates for each host: the public one,
// which clients of the key server see, and the cluster one, by which the two hosts know each other (daemon to daemon,
// PostgreSQL to PostgreSQL; its common name is the node's name). A host that joins without any file of the cluster holds
// a Token: it pins the authority and admits once. Reloader serves the files as they are now, without a restart.
package certs
