package mutants

// orphaned are the guards of a data directory against programs that go on in it when their parent has been killed.
var orphaned = []row{
	{
		"initdb keeps the lock", "postgres/initdb.go",
		"run(ctx, holding(s.Lock, initdb))", "run(ctx, initdb)",
		"a database is removed while it is written", "postgres", "TestProgramsHoldTheLock",
	}, {
		"the maker of a role keeps the lock", "postgres/initdb.go",
		"run(ctx, holding(s.Lock, single))", "run(ctx, single)",
		"a database is removed while it is written", "postgres", "TestProgramsHoldTheLock",
	}, {
		"a base backup keeps the lock", "postgres/backup.go",
		"holding(o.Lock, o.RunAs.command(ctx, inst.Path(\"pg_basebackup\"), args...))", "o.RunAs.command(ctx, inst.Path(\"pg_basebackup\"), args...)",
		"a copy is removed while it is written", "postgres", "TestProgramsHoldTheLock",
	}, {
		"pg_resetwal keeps the lock", "postgres/dump.go",
		"run(ctx, holding(s.Lock, reset))", "run(ctx, reset)",
		"a database is removed while it is written", "postgres", "TestProgramsHoldTheLock",
	}, {
		"a server works in its directory from its first moment on", "postgres/process.go",
		"cmd.Dir = s.Data", "cmd.Dir = \"/\"",
		"a copy is removed while its server starts", "postgres", "TestProgramsHoldTheLock",
	}, {
		"a server that has just begun is waited for", "postgres/process.go",
		"return s.awaitNone(ctx, func() error { return s.Stop(ctx, Immediate) })", "return s.Stop(ctx, Immediate)",
		"a copy is removed while its server starts", "postgres", "TestEndAServerThatHasJustBegun",
	}, {
		"the server of a copy that has just begun is waited for", "host/joincopy.go",
		"return server.End(ctx)", "return server.Stop(ctx, postgres.Immediate)",
		"a copy is removed while its server starts", "host", "TestKilledWhileACopyStarts",
	}, {
		"a new pair's database is made under the lock", "host/bootstrap.go",
		"server.Lock = j.lock", "server.Lock = nil",
		"a database is removed while it is written", "host", "TestKilledWhileInitdbRuns",
	}, {
		"the database of a dump is made under the lock", "host/rebuilddump.go",
		"server.Lock = journal.lock", "server.Lock = nil",
		"a database is removed while it is written", "host", "TestRebuildFromTheDump",
	}, {
		"a copy is made under the lock", "host/joincopy.go",
		"Target: j.PGRoot, Lock: journal.lock,", "Target: j.PGRoot,",
		"a copy is removed while it is written", "host", "TestRebuildFromTheDump",
	}, {
		"what a dead owner has left is waited for", "host/locks.go",
		"; alive || time.Now().After(deadline) {", "; true || alive || time.Now().After(deadline) {",
		"a command that is repeated after a kill is refused, or writes beside what goes on", "host", "TestKilledWhileInitdbRuns",
	}, {
		"with a living owner it is refused at once", "host/locks.go",
		"; alive || time.Now().After(deadline) {", "; alive && time.Now().After(deadline) {",
		"an operator waits for nothing", "host", "TestOneChangesAHost",
	},
}
