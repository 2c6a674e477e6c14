// Package backup makes backups of one host that are known to restore: each is encrypted before it touches a disk, to people
// whose identities lie on no host, and it counts only after it was read back and a server was started from it, in which every
// row is found again and opened.
//
// It knows PostgreSQL and no keys: what the rows are, and whether they open, a Checker that it is handed says.
//
//	manifest.go    Manifest, Trailer and Receipt: what a backup says of itself, and what was seen of it
//	recipients.go  ParseRecipients: who may read the backups; named.go: as somebody else calls one of them
//	openpgp.go     those that are OpenPGP keys: which they are, and whether anything should be encrypted to them
//	create.go      Create: one backup, from the lock to its name
//	copy.go        what goes into it, in which order; dump.go: the dump of one that was unpacked
//	archive.go     how it lies in the file: a tar of streams, encrypted; read.go: the way back
//	authentic.go   Origin: who has made a backup, and what is refused
//	identities.go  ParseIdentities: what opens a backup
//	openpgp_message.go   a backup that is an OpenPGP message; openpgp_identity.go: what opens one
//	unpack.go      Unpack: a backup laid out in a directory, each byte held against what it says of itself
//	untar.go       how the tars within it are unpacked, and nothing beside them
//	prove.go       the restore that each backup has to stand; trial.go: the server that is started for it
//	restoretest.go RestoreTest: the same with what lies off the hosts; tested.go: what it has shown, and when the last one was
//	rows.go        Row and Checker: what has to be there again; compare.go: Compare, for a database that was restored to stay
//	directory.go   the directory that the backups lie in, and what a killed run has left there; lock.go: one at a time
//	room.go        what has to be free on its disk, and stays free
//	catalog.go     List, Show and Verify
//	retention.go   Retention: which backups are kept, and how the others go
//	schedule.go    Schedule, Plan and Timer: when one is begun; attempt.go: what came of the last attempt
//	ship.go        Ship: every target gets what it lacks; send.go: one backup on its way to one target; thin.go: what stays there
//	target.go      Target: where copies of the backups go; place.go: the directory there, of this host; sftp.go: behind SFTP
//	hostkey.go     the host of a target is the one that is known; sshkey.go: what lets this host in there
//	attend.go      what stands still is given up
//	shipped.go     Shipped: what targets have confirmed
//	progress.go    Progress: how far each of these is
//
// docs/backup-format.md describes the format, and how to open a backup without this program.
package backup
