// Package config reads a host's configuration into one struct and validates it whole.
//
// Three sources, the later one winning: keytrustee.yaml in the confdir, which both hosts may share by copying; node.yaml
// in the node directory beside the confdir, which is this host's own; and the environment, KEYTRUSTEE_ before the key in
// capitals with underscores for dots (KEYTRUSTEE_DB_PORT, KEYTRUSTEE_PEER_ADDRESS). Every key may stand in each of them.
package config
