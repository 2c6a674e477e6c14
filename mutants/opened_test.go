package mutants

// opened are the guards of who opens a backup away from the host that made it.
var opened = []row{
	{
		"a recovery key that others can have put there is not taken", "cmd/ktadmin/recovery.go",
		"case info.Mode().Perm()&0o077 != 0:", "case info.Mode().Perm()&0o077 != 0 && !ok:",
		"whoever has put a recovery key where init writes it opens every key", "cmd/ktadmin", "TestReadOwn",
	}, {
		"a recovery key behind a link is not taken", "cmd/ktadmin/recovery.go",
		"os.O_RDONLY|syscall.O_NOFOLLOW|", "os.O_RDONLY|",
		"whoever has put a link where init writes the recovery key chooses which one it is", "cmd/ktadmin", "TestReadOwn",
	}, {
		"no process of its user reads the memory of ktadmin", "internal/undumped/undumped.go",
		"unix.PR_SET_DUMPABLE, 0,", "unix.PR_SET_DUMPABLE, 1,",
		"a server that was started from a forged backup reads the recovery key", "cmd/ktadmin", "TestUndumped",
	},
	{
		"a backup's streams are held against its trailer", "backup/unpack.go",
		"!slices.Equal(u.Trailer.Streams, a.done)", "slices.Equal(u.Trailer.Streams, nil)",
		"a backup that is damaged within is restored", "backup", "TestUnpackDamaged",
	}, {
		"a backup of a newer form is not read", "backup/manifest.go",
		"\tcase head.Format > Format:\n", "\tcase head.Format < 0:\n",
		"a backup that is whole is called damaged", "backup", "TestUnpackNewer",
	}, {
		"a backup without a form is not read", "backup/manifest.go",
		"\tcase head.Format != Format:\n", "\tcase head.Format < 0:\n",
		"something else is restored as a backup", "backup", "TestUnpackDamaged",
	}, {
		"a stream stands in its place", "backup/read.go",
		"if !r.is(memberName(name, 0)) {", "if r.header == nil {",
		"a backup that lacks a piece is restored", "backup", "TestArchiveOutOfOrder",
	}, {
		"a backup ends with its trailer", "backup/read.go",
		"\tif r.header != nil {\n\t\treturn nil, nil, errors.New(\"something comes after the trailer\")", "\tif false {\n\t\treturn nil, nil, errors.New(\"something comes after the trailer\")",
		"what was added to a backup goes unseen", "backup", "TestArchiveOutOfOrder",
	}, {
		"what does not unpack is not left", "backup/unpack.go",
		", os.RemoveAll(dir))", ")",
		"half a database lies about, and the next try finds it in its way", "backup", "TestUnpackDamaged|TestUnpackIsInterrupted",
	}, {
		"as many rows as the backup says", "backup/compare.go",
		"\tif e.count != want {\n", "\tif false {\n",
		"a backup whose dump lacks a row passes for whole", "backup", "TestRestoreTestFails",
	}, {
		"a restore test leaves nothing", "backup/restoretest.go",
		"\tdefer func() { err = errors.Join(err, t.remove(context.WithoutCancel(ctx))) }()\n", "",
		"the database of a backup lies on the computer of a drill", "backup", "TestRestoreTest|TestRestoreTestFails",
	}, {
		"a restore test removes what one that was killed has left", "backup/restoretest.go",
		"\t\terr = t.remove(ctx)\n", "\t\terr = ctx.Err()\n",
		"after a kill no test is possible, and a server runs on", "backup", "TestRestoreTestKilled",
	}, {
		"a restore test asks for the right key first", "backup/restoretest.go",
		"if err := o.Fits(m); err != nil {", "if err := o.Fits(m); err != nil && false {",
		"the wrong recovery key is noticed after an hour, or not", "backup", "TestRestoreTestFails",
	}, {
		"one restore test in one place", "backup/lock.go",
		"\t\tf.Close()\n\t\tif !errors.Is(err, syscall.EWOULDBLOCK) {\n\t\t\treturn nil, fmt.Errorf(\"locking %s: %w\", path, err)\n\t\t}\n\t\treturn nil, &postgres.SetupError{Problem: \"a restore test is under way",
		"\t\tif errors.Is(err, syscall.EWOULDBLOCK) {\n\t\t\treturn func() { f.Close() }, nil\n\t\t}\n\t\treturn nil, &postgres.SetupError{Problem: \"a restore test is under way",
		"a second test removes the first one's files", "backup", "TestRestoreTestRefused",
	}, {
		"an older restore test is not the last", "backup/tested.go",
		"!t.Tested.After(last.Tested)", "last.Tested.IsZero()",
		"a test of last year passes for the newest", "backup", "TestLoadTested",
	}, {
		"a restore test of the future is none", "backup/tested.go",
		"\tif t.Tested.After(now.Add(ahead)) {\n", "\tif now.Add(ahead).IsZero() {\n",
		"no alarm says for years that backups are not tested", "backup", "TestLoadTested",
	}, {
		"a restore test of this pair", "cmd/ktadmin/backup_record.go",
		"\tif tested.Cluster != c.ClusterID {\n", "\tif false {\n",
		"a pair whose backups were never tested says that they were", "cmd/ktadmin", "TestRestoreTest",
	}, {
		"the wraps of a backup are its cluster's", "cmd/ktadmin/backup_restoretest.go",
		"\tif ring.Cluster() != m.Cluster {\n", "\tif false {\n",
		"a backup passes that was put together of two", "cmd/ktadmin", "TestRestoreTest",
	}, {
		"nothing is started from a forged backup", "backup/unpack.go",
		"if err := origin.check(name, u); err != nil {", "if err := origin.check(name, u); err != nil && false {",
		"whoever knows the recipients runs programs beside the recovery key", "cmd/ktadmin", "TestForgedBackup",
	}, {
		"a backup shows who made it", "backup/authentic.go",
		"case u.authentication != nil && !authentic(", "case u.authentication != nil && false && !authentic(",
		"a backup with any authentication passes for a host's", "backup", "TestOrigin",
	}, {
		"a backup that shows nothing wants its sum", "backup/authentic.go",
		"case u.authentication == nil && o.SHA256 == \"\":", "case u.authentication == nil && o.SHA256 == \"none\":",
		"who leaves the authentication out is trusted", "backup", "TestOrigin",
	}, {
		"a sum that is given has to fit", "backup/authentic.go",
		"o.SHA256 != \"\" && !strings.EqualFold(", "o.SHA256 == \"none\" && !strings.EqualFold(",
		"any sum vouches for any backup", "backup", "TestOrigin",
	}, {
		"the manifest is authenticated", "backup/authentic.go",
		"[]byte(\"keytrustee backup 1\"), manifest, trailer}", "[]byte(\"keytrustee backup 1\"), trailer}",
		"a backup is told to be another host's, or older", "backup", "TestOrigin",
	}, {
		"the trailer is authenticated", "backup/authentic.go",
		"[]byte(\"keytrustee backup 1\"), manifest, trailer}", "[]byte(\"keytrustee backup 1\"), manifest}",
		"what is in a backup is exchanged under its authentication", "backup", "TestOrigin",
	}, {
		"a backup is made with an authentication that fits", "backup/prove.go",
		"r.By != nil && !authentic(r.By, u.manifest, u.trailer, u.authentication):", "r.By != nil && len(u.authentication) == 0:",
		"a backup is published that no restore trusts", "backup", "TestCreateProvesItsAuthentication",
	}, {
		"a restore test looks twice at one backup", "backup/restoretest.go",
		"if !reflect.DeepEqual(u.Manifest, m) {", "if !reflect.DeepEqual(u.Manifest, m) && false {",
		"a test is noted of another backup than was tested", "backup", "TestRestoreTestFails",
	}, {
		"a record is of the backup of that name", "cmd/ktadmin/backup_record.go",
		"} else if found && r.SHA256 != tested.SHA256 {", "} else if found && r.SHA256 == \"\" {",
		"a test of another file passes for one of this host's backups", "cmd/ktadmin", "TestRestoreTest",
	}, {
		"a restore test takes no place of another user", "cmd/ktadmin/backup_restoretest.go",
		"!ok || int(s.Uid) != os.Geteuid() {\n\t\treturn false", "!ok || s == nil {\n\t\treturn false",
		"another user of the machine keeps everybody from testing backups", "cmd/ktadmin", "TestRestoreTestPlace",
	}, {
		"a restore test follows no link", "cmd/ktadmin/backup_restoretest.go",
		"os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK", "os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NONBLOCK",
		"another user of the machine chooses the directory in which a test removes things", "cmd/ktadmin", "TestRestoreTestPlace",
	}, {
		"a restore test leaves the place of another that runs", "cmd/ktadmin/backup_restoretest.go",
		"return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil", "return true",
		"of two tests at once one is refused", "cmd/ktadmin", "TestRestoreTestPlace",
	}, {
		"what authenticates backups is of this recovery key", "host/backupkey.go",
		"if key.Recovery() != public.Fingerprint() {", "if public.Fingerprint() == \"\" {",
		"backups are authenticated with a key that nobody can derive", "host", "TestBackupKey",
	}, {
		"a damaged key of the backups is replaced by that of the database", "host/backupkey.go",
		"if box, err = h.storedBackupKey(ctx); err == nil && box != nil {", "if box, err = h.storedBackupKey(ctx); err == nil && box != nil && damaged == nil {",
		"a host makes no backups while what mends it lies in its database", "host", "TestBackupKey",
	}, {
		"a fenced host shares nothing", "host/backupkey.go",
		"|| s.State.Fenced != nil {", "|| false {",
		"a host that is fenced writes to its database", "host", "TestBackupKey",
	}, {
		"no file of a backup is sparse", "backup/untar.go",
		"\tif sparse(header) {\n", "\tif sparse(header) && false {\n",
		"a backup of a few bytes fills the disk of who opens it", "backup", "TestSparse",
	}, {
		"no member of a backup is sparse", "backup/read.go",
		"\tcase sparse(r.header):\n", "\tcase sparse(r.header) && r.header.Name == \"\":\n",
		"a backup of a few bytes fills the disk of who opens it", "backup", "TestSparse",
	}, {
		"a power loss keeps no restore from being repeated", "host/joincopy.go",
		"if errors.Is(err, postgres.ErrNoVersion) {", "if errors.Is(err, postgres.ErrNoVersion) && false {",
		"a restore that a power loss broke off is neither repeated nor given up", "host", "TestLaidOutWhenThePowerWasLost",
	},
}
