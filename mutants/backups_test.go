package mutants

// backups are the guards of when a backup is made and by whom, and of which ones go.
var backups = []row{
	{
		"an hour of the schedule is one of UTC", "backup/schedule.go",
		"return s.times.Next(t.UTC())", "return s.times.Next(t.In(time.Local))",
		"a time of the schedule comes twice on one day and never on another", "backup", "TestOnceADay",
	}, {
		"a backup that fails is waited for", "backup/schedule.go",
		"failed && retry.After(due)", "false && failed && retry.After(due)",
		"backups that fail are begun one after the other without end", "backup", "TestTimer|TestDue",
	}, {
		"a backup by a wrong clock is not the newest", "backup/schedule.go",
		"!started.After(now) && (", "(",
		"a clock that was ahead once ends the backups", "backup", "TestTimer",
	}, {
		"one backup at a time", "backup/schedule.go",
		"p.Mine && !p.Running && ", "p.Mine && ",
		"both hosts make a backup, or one makes two", "backup", "TestTimer",
	}, {
		"a backup spares the disk of the database", "backup/room.go",
		"err == nil && free < spare {", "err == nil && free < spare && false {",
		"a backup fills the disk of the database, and the pair takes no writes", "backup", "TestSparing",
	}, {
		"a backup on a disk of its own may fill it", "backup/room.go",
		"return of[0].Dev == of[1].Dev, nil", "return true, nil",
		"a backup that has room is given up", "backup", "TestSparing",
	}, {
		"a full disk is why", "backup/room.go",
		"ferr == nil && free < segment {", "ferr == nil && free < segment && false {",
		"a trial that had no room is said to have failed, and the host is looked at", "backup", "TestBecauseFull",
	}, {
		"the backup that was made stays", "backup/retention.go",
		"if b.Name == made {", "if b.Name == made && false {",
		"by a clock that was set back a backup is removed as soon as it is made", "backup", "TestRetire",
	}, {
		"a second has one backup", "backup/create.go",
		"if err != nil || !taken {", "if err != nil || !taken || true {",
		"a clock that is set back has a backup replaced", "backup", "TestNameOfASecondOnce",
	}, {
		"the newest backup stays", "backup/retention.go",
		"keep := newest || ", "keep := newest && false || ",
		"the last backup is removed", "backup", "TestKeep",
	}, {
		"a backup of tomorrow takes no place", "backup/retention.go",
		"if started.After(now) {", "if false && started.After(now) {",
		"backups by a clock that was wrong push out those of today", "backup", "TestKeep",
	}, {
		"another host's backups stay", "backup/retention.go",
		"return m.Host == host && m.Cluster == cluster", "return m.Cluster == cluster",
		"a backup that somebody put there is removed", "backup", "TestRetire",
	}, {
		"another cluster's backups stay", "backup/retention.go",
		"m.Host == host && m.Cluster == cluster && ", "m.Host == host && ",
		"a host that was made anew by mistake removes the backups that could mend it", "backup", "TestRetire",
	}, {
		"backups under an earlier root key stay", "backup/retention.go",
		" && m.RootKey == rootKey", "",
		"a host that was restored from a backup removes a later one that turns up", "backup", "TestRetire",
	}, {
		"a backup loses its name before its receipt", "backup/retention.go",
		"durable.Rename(path+fileSuffix, path+partialSuffix)", "durable.Remove(path + receiptSuffix)",
		"a removal that is killed leaves a file that nobody dares to remove", "backup", "TestRetireBrokenOff",
	}, {
		"the active leaves backups to its passive", "cmd/keytrusteed/backup_part.go",
		"case r.Duty == replication.Active && r.Open:", "case r.Duty == replication.Active && r.Open && false:",
		"both hosts make every backup", "cmd/keytrusteed", "TestBackupPart",
	}, {
		"a fenced host makes no backup", "cmd/keytrusteed/backup_part.go",
		"case r.Fenced != nil:", "case r.Fenced != nil && false:",
		"a copy that is of another history is taken for the newest backup", "cmd/keytrusteed", "TestBackupPart",
	}, {
		"the other host is heard first", "cmd/keytrusteed/backups.go",
		"k.Recipients > 0 && b.certain(now)", "k.Recipients > 0",
		"a host that has just started repeats the other one's backup", "cmd/keytrusteed", "TestBackupsPlan",
	}, {
		"a row that lies elsewhere is held against its own", "backup/rows.go",
		"if have, ok := e.had[listed.key()]; ok {", "if have, ok := e.had[listed.key()]; ok && false {",
		"a backup with all rows is refused, since one of them has moved", "backup", "TestRowsInAnyOrder",
	}, {
		"a row that came too early is looked at", "backup/rows.go",
		"delete(e.had, listed.key())\n\t\treturn e.same(listed, have)", "delete(e.had, listed.key())\n\t\treturn e.same(have, have)",
		"a changed row passes that lies elsewhere than it did", "backup", "TestRowsInAnyOrder",
	}, {
		"a row that never came is missing", "backup/rows.go",
		"len(missing) > 0 {", "len(missing) > 0 && false {",
		"a backup that lacks a row counts", "backup", "TestRowsAreFoundAgain",
	}, {
		"a list has each row once", "backup/rows.go",
		"if _, twice := e.listed[listed.key()]; twice {", "if _, twice := e.listed[listed.key()]; twice && false {",
		"a list counts one row for two", "backup", "TestRowsThatAreNoList",
	}, {
		"who fills a member hears that the one before was not written", "backup/archive.go",
		"s.err = m.err", "_ = m.err",
		"a disk that is full is told as a program that broke off", "backup", "TestArchiveFailsAsItsFile",
	}, {
		"a backup takes the place of nobody who runs", "internal/spare/spare.go",
		"Policy: unix.SCHED_IDLE}, 0", "Policy: unix.SCHED_NORMAL}, 0",
		"decrypts wait for a backup", "internal/spare", "TestDo",
	}, {
		"a backup leaves the other processors alone", "internal/spare/spare.go",
		"last := lastOf(may)", "last := may",
		"what wakes up finds no processor free", "internal/spare", "TestDo",
	}, {
		"a backup has a session of its own", "cmd/keytrusteed/backup_child.go",
		"Pdeathsig: syscall.SIGTERM, Setsid: true", "Pdeathsig: syscall.SIGTERM",
		"where the kernel groups processes by sessions, a backup has the daemon's share", "cmd/keytrusteed", "TestBackupChild",
	}, {
		"what sends a base backup yields", "postgres/sender.go",
		"where state = 'backup' and", "where state = 'none' and",
		"decrypts wait for the base backup, which has the share of a server process", "cmd/ktadmin", "TestYieldSenders",
	}, {
		"what sends a base backup of a primary does not yield", "postgres/sender.go",
		" and pg_is_in_recovery()", "",
		"its last record holds back the commits of a busy primary", "postgres", "TestBackupSenders",
	}, {
		"all that a backup starts stays in its session", "internal/spare/session.go",
		"K: unix.SECCOMP_RET_ERRNO}", "K: unix.SECCOMP_RET_ALLOW}",
		"where the kernel groups processes by sessions, decrypts wait for the server of the restore", "internal/spare", "TestDo",
	}, {
		"a backup by hand does not yield", "cmd/ktadmin/yield.go",
		"if !spare.Used(0) {", "if false {",
		"who waits for a backup waits for everybody else", "cmd/ktadmin", "TestYieldSenders",
	}, {
		"a backup of the daemon's is paced", "backup/copy.go",
		"if !r.Paced {", "if true {",
		"decrypts wait for the session that copies the tables", "backup", "TestPaced",
	}, {
		"a backup ends with its daemon", "cmd/keytrusteed/backup_child.go",
		"&syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setsid: true}", "&syscall.SysProcAttr{Setsid: true}",
		"a daemon that is killed leaves a process that makes a backup", "cmd/keytrusteed", "TestBackupChildOfKilled",
	}, {
		"a target that gets nothing is said", "host/backuptrouble.go",
		"case now.After(t.Late):", "case now.After(t.Late) && false:",
		"for months no copy leaves the host, and nobody knows", "host", "TestBackupTrouble",
	}, {
		"what the other host has sent counts", "host/backuptrouble.go",
		"range sentByBoth(b.Targets, b.OtherTargets) {", "range sentByBoth(b.Targets, nil) {",
		"an active is red for what its passive has sent", "host", "TestBackupTrouble",
	}, {
		"what the other host has sent counts where it has sent it", "host/backuptrouble.go",
		"return bothSent(targets, others)[:len(targets)]", "if len(others) > 0 {\n\t\treturn others\n\t}\n\treturn targets",
		"a target that one host alone has gets nothing, and the other host's word hides it", "host", "TestBackupTrouble",
	}, {
		"what the other host has sent is known", "cmd/keytrusteed/backups.go",
		"k.OtherTargets = append(k.OtherTargets, t)", "_ = append(k.OtherTargets, t)",
		"an active is red for what its passive has sent", "cmd/keytrusteed", "TestBackupsPlan",
	}, {
		"a metric names no target", "metrics/metrics.go",
		"e(age(t.Newest), strconv.Itoa(i+1))", "e(age(t.Newest), t.Target+strconv.Itoa(i+1))",
		"users and paths of other hosts are in the metrics", "metrics", "TestValues",
	}, {
		"a passive that makes no backup is stood in for", "cmd/keytrusteed/backup_part.go",
		"r.Open && standsIn(r, up, late, now):", "r.Open && false:",
		"a passive whose disk is full leaves the pair without backups", "cmd/keytrusteed", "TestBackupPart",
	}, {
		"a passive that was late has its time", "cmd/keytrusteed/backup_part.go",
		"since := later(later(up, late), r.Turned)", "since := late",
		"after every rest of the pair both hosts make a backup", "cmd/keytrusteed", "TestBackupPart",
	}, {
		"a backup of the other host that hangs is waited for no longer", "cmd/keytrusteed/backups.go",
		"return !now.After(thishost.Late(s, b.beside))", "return true",
		"a backup that never ends leaves the pair without any", "cmd/keytrusteed", "TestBackupsPlan",
	}, {
		"what is made by hand is seen", "cmd/keytrusteed/backups.go",
		"return !b.runs() && b.lockHeld(c)", "return !b.runs() && false",
		"both hosts make a backup, or an attempt is called failed that met another", "cmd/keytrusteed", "TestBackupsPlan",
	}, {
		"who meets another has not failed", "cmd/keytrusteed/backups.go",
		"cerr == nil && err != nil && b.lockHeld(c) {", "cerr == nil && err != nil && b.lockHeld(c) && false {",
		"an alarm, while somebody makes a backup by hand", "cmd/keytrusteed", "TestBackupsRun",
	}, {
		"looking is in nobody's way", "backup/lock.go",
		"const looks, pause = 10, 10", "const looks, pause = 1, 10",
		"a backup is not begun because a daemon looked whether there is one", "backup", "TestMaking",
	}, {
		"a fenced host makes no backup by hand", "cmd/ktadmin/backup_create.go",
		"if s.State.Fenced != nil {", "if s.State.Fenced != nil && false {",
		"a backup of another history passes for the newest of the pair", "cmd/ktadmin", "TestBackupOfAFencedHost",
	}, {
		"a backup tells of a silent host", "cmd/ktadmin/backup_other.go",
		"case r.PeerAnswers:", "case true || r.PeerAnswers:",
		"a backup of a host that was cut off looks as good as any", "cmd/ktadmin", "TestOtherHost",
	}, {
		"a later epoch stands below", "cmd/ktadmin/backup.go",
		"cmp.Or(cmp.Compare(a.Manifest.Epoch, b.Manifest.Epoch), ", "cmp.Or(0*a.Manifest.Epoch, ",
		"who takes the last backup of the list takes one of a host that was given up", "cmd/ktadmin", "TestBackupOfAFencedHost",
	}, {
		"who restores is warned", "host/rebuildlook.go",
		"if w := r.backup.Warning; w != \"\" {", "if w := r.backup.Warning; w == \"none\" {",
		"a pair is rebuilt from the backup of a host that was cut off, and a better one is not looked for", "host", "TestRebuildMakesANewRoot",
	}, {
		"another host's work is left alone", "backup/directory.go",
		"case partial && own.MatchString(name):", "case partial && namePattern.MatchString(name):",
		"two hosts that share a directory remove each other's backups while they are made", "backup", "TestTwoHostsShareADirectory",
	}, {
		"each host works in a place of its own", "backup/directory.go",
		"workDir, r.Facts.Host, cluster[:4])", "workDir, r.Facts.Host[:2], cluster[:4])",
		"two hosts that share a directory restore into each other's files", "backup", "TestTwoHostsShareADirectory",
	}, {
		"the newest backup is this host's", "cmd/internal/thishost/backups.go",
		"return r.Manifest.Host != c.Name || r.Manifest.Cluster != c.ClusterID", "return r.Manifest.Host == \"\" && c.Name == \"\"",
		"no alarm tells that a host makes no backups, since another one's lie in its directory", "cmd/keytrusteed", "TestBackupsOfOthers",
	},
}
