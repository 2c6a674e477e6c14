// Package seal keeps key material closed, and opens it.
//
// The chain, from the outside in: a host's Root (a private key in a 0600 file of the confdir) opens a Wrap; the Wrap holds
// a key-encryption key (KEK); the KEK, through a key of its own for each version, opens what a Store keeps. The same KEK is
// wrapped to every host's root and to the recovery root, whose private half lies on no host. docs/protocol.md, section 9.
//
//	root.go      Root and Public: root keys, and their file
//	recovery.go  the recovery root key, whose private half a person keeps
//	kek.go       the KEK, and how bytes are encrypted and bound
//	wrap.go      Wrap: a KEK closed to one root, bound to its cluster, signed by the host that made it
//	confdir.go   Create, Load, WriteWraps: what lies where in the confdir
//	keyring.go   Keyring: the KEKs that this host has opened, and opens anew when asked for proof
//	backupkey.go BackupKey: shows that a backup is of the cluster; derived from the recovery key, and kept by the hosts as a box
//	recovered.go LoadWithRecovery: a Keyring where no host's root key is at hand
//	version.go   Seal and Open: the material of key versions (kms.Sealer)
//	prove.go     what shows the other host that this one can open what it holds
//	box.go       secrets that are no key material: the authority's key, the cookie secret, the key of backups
package seal
