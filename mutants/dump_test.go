package mutants

// dumps are the guards of a restore from the logical dump.
var dumps = []row{
	{
		"transactions go on above those of the dump", "host/rebuilddump.go",
		"\tif err := server.SkipXIDs(ctx, newest); err != nil {\n", "\tif err := error(nil); err != nil {\n",
		"what was acknowledged is hidden, and taken for another's later", "host", "TestRebuildFromTheDump",
	}, {
		"every table is asked for its newest transaction", "postgres/dump.go",
		"newest = max(newest, x)", "newest = x",
		"what was acknowledged is hidden, and taken for another's later", "postgres", "TestDumpIntoAnotherMajor",
	}, {
		"the file is what was written", "backup/prove.go",
		"case u.Size != w.size || u.SHA256 != hex.EncodeToString(w.sum):", "case u.Size != w.size:",
		"a recipient is locked out of a backup that counts", "backup", "TestCreateOpenPGP",
	}, {
		"a backup counts no purged keys", "backup/copy.go",
		"*rows.of(k) -= *purged.of(k)", "*rows.of(k) -= 0 * *purged.of(k)",
		"no backup is good any more once a key was purged", "cmd/ktadmin", "TestBackup",
	}, {
		"a column that nobody knows is noticed", "kms/pgstore/columns.go",
		"if c.at != len(c.values) && c.err == nil {", "if c.at != len(c.values) && c.err == nil && false {",
		"a backup proves no more of a new column than that it is there", "kms/pgstore", "TestInventory",
	}, {
		"a copy that was cut off is none", "postgres/copy.go",
		"\t\treturn io.ErrUnexpectedEOF\n", "\t\treturn io.EOF\n",
		"rows that a dump has lost are not missed", "postgres", "TestCopyTable",
	}, {
		"a row is dumped once", "backup/copy.go",
		"r.Server.Dump(together, &rest, r.Database, snapshot, tables[:]...)", "r.Server.Dump(together, &rest, r.Database, snapshot, tables[:0]...)",
		"each row is dumped twice", "backup", "TestCreate",
	}, {
		"a dump has nothing beside its list", "host/rebuild.go",
		"r.o.Check(ctx, server, ring, r.fromDump != \"\")", "r.o.Check(ctx, server, ring, false)",
		"a pair is made out of rows that no backup has listed", "host", "TestRebuildFromTheDump",
	}, {
		"a dump that was restored to stay is what was listed", "backup/compare.go",
		"_, err := compare(ctx, q, counting{c, p}.Open, d, c, want, true)", "_, err := compare(ctx, q, counting{c, p}.Open, d, c, want, false)",
		"a pair is made out of rows that no backup has listed", "backup", "TestRestoreTestOfTheDump",
	}, {
		"a dump that was restored to stay was opened", "backup/compare.go",
		"_, err := compare(ctx, q, counting{c, p}.Open, d, c, want, true)", "_, err := compare(ctx, q, counting{c, p}.Rows, d, c, want, true)",
		"a pair is made out of keys that do not open", "backup", "TestRestoreTestOfTheDump",
	}, {
		"a test of a dump opens it", "backup/trial.go",
		"_, err := t.compare(ctx, server, dumpDatabase, c.Open, d, c, want, true)", "_, err := t.compare(ctx, server, dumpDatabase, c.Rows, d, c, want, true)",
		"a backup stands its test whose dump does not open", "backup", "TestRestoreTestOfTheDump",
	}, {
		"a test of a dump alone says so", "backup/restoretest.go",
		"DumpAlone: t.why,", "DumpAlone: \"\",",
		"nobody knows that the base backup was not tested", "backup", "TestRestoreTestOfTheDump",
	}, {
		"what can not be read is refused before anything is made", "postgres/dump.go",
		"if i.Version.Major >= major {", "if true || i.Version.Major >= major {",
		"a restore breaks off in its middle for a version that was known", "postgres", "TestDumpIntoAnotherMajor",
	}, {
		"a dump has no wraps", "host/rebuildlook.go",
		"fewer && r.fromDump == \"\"", "fewer",
		"a restore is begun that can not open the keys", "host", "TestLookBeforeADump",
	}, {
		"roles are made whole", "postgres/dump.go",
		"if strings.HasPrefix(line, `\\`) || slices.Contains(made, line) {", "if slices.Contains(made, line) {",
		"the roles of a backup can not be made", "postgres", "TestDumpIntoAnotherMajor",
	},
}

// copies are the guards of a backup that is copied to where its command says.
var copies = []row{
	{
		"a copy brings no other along", "backup/ship.go",
		"if s.Only != \"\" {", "if false {",
		"the backups of ten hours push out those of ten nights", "backup", "TestCopyBringsNoOther",
	}, {
		"a recipient who is named has to be one", "cmd/ktadmin/backup_copy.go",
		"if !r.Named(name, time.Now()) {", "if time.Now().IsZero() {",
		"a backup is made that the one it was meant for can not read", "cmd/ktadmin", "TestKtbackup",
	}, {
		"a few digits name no key", "backup/named.go",
		"{16,}", "{8,}",
		"a backup is made for a key that anybody can make", "backup", "TestNamed",
	}, {
		"an address that was revoked names no key", "backup/named.go",
		"openPGPConfig()); err == nil {", "openPGPConfig()); true || err == nil {",
		"a backup is made for somebody who has left", "backup", "TestNamedByAddress",
	}, {
		"a revocation that was yet to come is looked at again", "backup/named.go",
		"revocation.Valid = nil //", "_ = revocation //",
		"a backup is made for somebody who has left", "backup", "TestNamedByAddress",
	}, {
		"a copy that failed is told", "cmd/ktadmin/backup_create.go",
		"\ta.shipNew(c)\n\treturn err\n", "\ta.shipNew(c)\n\treturn nil\n",
		"nobody knows that there is no copy", "cmd/ktadmin", "TestKtbackupNoCopy",
	},
}
