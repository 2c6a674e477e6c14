package mutants

// store are the guards between COMMIT and its outcome, and of what the database shows.
var store = []row{
	{
		"the port of a killed server is waited for", "postgres/prepare.go",
		"err := s.awaitPort(ctx)", "err := s.checkPort()",
		"a database whose server was killed does not come back", "postgres", "TestServer",
	},
	{
		"sealed dialer", "postgres/pool.go",
		"\tif c.Sealed {\n", "\tif c.Sealed && false {\n",
		"a deadline cancels a COMMIT that waits for the passive: the row is on one host alone", "kms/pgstore", "TestNoCancelRequest",
	}, {
		"a sealed connection dials once", "postgres/pool.go",
		"if !dialed.CompareAndSwap(false, true) {", "if !dialed.CompareAndSwap(false, true) && false {",
		"a CancelRequest leaves a connection that is called sealed", "kms/pgstore", "TestNoCancelRequest",
	}, {
		"a warning is no success", "kms/pgstore/commit.go",
		"case err == nil && !warned:", "case err == nil:",
		"a COMMIT that waited for nobody counts as done", "kms/pgstore", "TestClassify",
	}, {
		"a warning is heard", "kms/pgstore/commit.go",
		"c.CustomData()[warned] = n.SeverityUnlocalized", "c.CustomData()[warned+\" not\"] = n.SeverityUnlocalized",
		"a COMMIT that waited for nobody counts as done", "kms/pgstore", "TestWarningIsHeard",
	}, {
		"only ERROR is a no", "kms/pgstore/commit.go",
		"case errors.As(err, &pg) && pg.SeverityUnlocalized == \"ERROR\":", "case errors.As(err, &pg):",
		"a COMMIT that was cut off counts as failed, and its row is there", "kms/pgstore", "TestClassify",
	}, {
		"nothing cuts a COMMIT short", "kms/pgstore/commit.go",
		"err := tx.Commit(context.Background())", "short, cancel := context.WithTimeout(context.Background(), 1e7)\n\t\tdefer cancel()\n\t\terr := tx.Commit(short)",
		"a deadline gives a COMMIT up that waits, and nobody hears what became of it", "kms/pgstore", "TestCommitHasNoDeadline",
	}, {
		"a write waits for its row's proof", "kms/pgstore/commit.go",
		"s.horizon.Await(s.life, xid, at, [][16]byte{row})", "s.horizon.Await(s.life, xid, at, [][16]byte{row}[:0])",
		"a key is acknowledged that the passive may be unable to open", "kms/pgstore", "TestApplyAwaitsItsRow",
	}, {
		"a write waits for its position", "kms/pgstore/commit.go",
		"s.horizon.Await(s.life, xid, at, [][16]byte{row})", "s.horizon.Await(s.life, xid, at&0, [][16]byte{row})",
		"a key is acknowledged that the passive has not written", "kms/pgstore", "TestApplyAwaitsItsRow",
	}, {
		"a position that covers the commit", "kms/pgstore/commit.go",
		"select pg_current_wal_flush_lsn()::text", "select '0/1'",
		"a key is acknowledged that the passive has not written", "kms/pgstore", "TestApplyAwaitsItsRow",
	}, {
		"remote_apply", "kms/pgstore/apply.go",
		"set local synchronous_commit = remote_apply", "set local synchronous_commit = local",
		"PostgreSQL does not wait for the passive", "kms/pgstore", "TestFailuresBeforeCommit",
	}, {
		"failed only when known aborted", "kms/pgstore/resolve.go",
		"\tdefault:\n\t\treturn 0, false, nil\n", "\tdefault:\n\t\treturn 0, true, errAborted\n",
		"a COMMIT that still waits for the passive counts as failed: a second key under its name", "kms/pgstore", "TestFate|TestLostAnswers",
	}, {
		"a row that is not ours is no success", "kms/pgstore/resolve.go",
		"\tif !ours {\n", "\tif !ours && false {\n",
		"a write that a crash lost counts as done, because its number was given to another", "kms/pgstore", "TestFate",
	}, {
		"no fate in a start that is not compared", "kms/pgstore/resolve.go",
		"\tif s.visibility().uncertain != nil {\n", "\tif false {\n",
		"an older copy of the data decides what became of a write", "kms/pgstore", "TestFate",
	}, {
		"confirmed snapshot", "kms/pgstore/horizon.go",
		"const visible = `($1::boolean or ", "const visible = `($1::boolean or true or ",
		"a row is served that one host alone has", "kms/pgstore", "TestUnconfirmedChanges",
	}, {
		"not found is said when it is certain", "kms/pgstore/horizon.go",
		"func (f filter) absent(notFound error) error {\n\tif f.uncertain != nil {", "func (f filter) absent(notFound error) error {\n\tif false {",
		"an active that was just started says that an acknowledged key does not exist", "kms/pgstore", "TestNotCertain",
	}, {
		"a filter belongs to the connection", "kms/pgstore/read.go",
		"\tconn, err := s.reads.Acquire(ctx)\n", "\tearly := s.visibility()\n\tconn, err := s.reads.Acquire(ctx)\n\tif err == nil {\n\t\tdefer conn.Release()\n\t\treturn fn(ctx, conn, early)\n\t}\n",
		"what one start of PostgreSQL showed is held against another", "kms/pgstore", "TestFilterBelongsToTheConnection",
	}, {
		"a name taken by an unconfirmed row is busy", "kms/pgstore/apply.go",
		"\tif !confirmed {\n", "\tif !confirmed && false {\n",
		"a caller is told of a change that may vanish", "kms/pgstore", "TestUnconfirmedChanges",
	}, {
		"no change while it is not certain what there is", "kms/pgstore/apply.go",
		"\tfilter := s.visibility()\n\tif filter.uncertain != nil {", "\tfilter := s.visibility()\n\tif filter.uncertain != nil && false {",
		"a name is given twice", "kms/pgstore", "TestNotCertain",
	}, {
		"a change follows the one before it", "kms/pgstore/apply.go",
		"where $3 = 0 or exists (", "where true or $3 = 0 or exists (",
		"two changes of a key follow the same one", "kms/pgstore", "TestStore",
	}, {
		"a control write is of its tables", "postgres/controlwrite.go",
		"if len(foreign) > 0 {", "if false {",
		"key material is written at a level that waits for nobody", "postgres", "TestControlWrite",
	},
}
