package mutants

// opened are the guards of who opens a backup away from the host that made it.
var opened = []row{
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
		"\tif r.header != nil {\n\t\treturn nil, errors.New(\"something comes after the trailer\")", "\tif false {\n\t\treturn nil, errors.New(\"something comes after the trailer\")",
		"what was added to a backup goes unseen", "backup", "TestArchiveOutOfOrder",
	}, {
		"what does not unpack is not left", "backup/unpack.go",
		", os.RemoveAll(dir))", ")",
		"half a database lies about, and the next try finds it in its way", "backup", "TestUnpackDamaged|TestUnpackIsInterrupted",
	}, {
		"as many rows as the backup says", "backup/compare.go",
		"\tif e.count != want {\n", "\tif false {\n",
		"a backup whose list of rows was cut passes for whole", "backup", "TestRestoreTestFails",
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
		"a test of last year passes for the newest", "backup", "TestLastRestoreTest",
	}, {
		"a restore test of the future is none", "backup/tested.go",
		"\tif t.Tested.After(now.Add(ahead)) {\n", "\tif now.Add(ahead).IsZero() {\n",
		"no alarm says for years that backups are not tested", "backup", "TestLastRestoreTest",
	}, {
		"a restore test of this pair", "cmd/ktadmin/backup_restoretest.go",
		"\tif tested.Cluster != c.ClusterID {\n", "\tif false {\n",
		"a pair whose backups were never tested says that they were", "cmd/ktadmin", "TestRestoreTest",
	}, {
		"the wraps of a backup are its cluster's", "cmd/ktadmin/backup_restoretest.go",
		"\tif ring.Cluster() != m.Cluster {\n", "\tif false {\n",
		"a backup passes that was put together of two", "cmd/ktadmin", "TestRestoreTest",
	},
}
