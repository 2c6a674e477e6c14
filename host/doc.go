// Package host is a host's life: what happens to it once, in which order, and how each step is taken again after a crash
// in its middle. ktadmin's commands are thin over it.
//
//	host.go      Host: where its files lie and how it is reached; server.go: its PostgreSQL
//	journal.go   the journal: which operation runs, and what it was making when it stopped
//	init.go      Init: the cluster's secrets on its first host, certificates and settings on every one
//	identity.go  a host's own certificates; pin.go: the key in one, by which its peer knows it; recovery.go: custody of the recovery key
//	bootstrap.go Bootstrap: the active's database; secrets.go: what it keeps of the confdir
//	rundb.go     RunDB: what has to hold before PostgreSQL may start; servedb.go: ServeDB, its parent; locks.go: one at a time
//	join.go      Join: the joiner's half, in stages (stage.go), of one kind (kind.go): joincheck.go, joinask.go, joinhad.go, joincopy.go, joinclient.go
//	aside.go     a re-clone and a restore move this host's data out of the way; restore.go: the copy of a survivor becomes the active; abort.go: it ends,
//	             and before.go: with the files that the join has replaced
//	rebuild.go   Rebuild: a bare host becomes the active out of a backup; rebuildlook.go: what speaks against it; rebuildfiles.go: what it makes;
//	             rebuilddump.go: where its PostgreSQL is another than the backup's; marker.go: by which a restore knows the directory that it fills
//	admit.go     Admitter: who is let in, why (believe.go) and as whom (identify.go); tokens.go: by which token; survivor.go: what a passive gives its active back
//	backupfiles.go  BackupFiles: what a rebuilt host needs beside its database; backupkey.go: what shows that a backup is of this cluster
//	wire.go request.go bundle.go  what the two say to each other, what of it is refused, what of the confdir travels
//	renew.go     RenewCertificates: by hand, and by the daemon before they end
//	enable.go    EnableSync: from then on a write needs both hosts
//	cluster.go   Cluster: the pair as it is seen from one host; cluster_serve.go: over the daemon's socket
//	backuptrouble.go  BackupTrouble: what is wrong with the backups of the pair; damage.go: DataTrouble: with the data of a host
//	cluster_view.go cluster_node.go cluster_judge.go  how it follows from both hosts' words, or from files; what is GOOD
//	admin.go adminclient.go status.go  the daemon's socket for ktadmin; admin_cluster.go: operations of the pair; audited.go: what is said to it is kept
//
// Every operation may be repeated: what is done is left alone, what is missing is made, what was half made is made again
// or moved aside. Nothing that exists is ever replaced without being named by the operator.
package host
