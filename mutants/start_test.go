package mutants

// start are the guards of a start of PostgreSQL, of its comparison with the other host, and of recovery and fencing.
var start = []row{
	{
		"comparison of WAL bytes", "replication/start.go",
		"case !bytes.Equal(hash, b.Hash):", "case false && !bytes.Equal(hash, b.Hash):",
		"a stale copy that has overtaken the passive erases acknowledged keys on both hosts", "replication", "TestStaleCopy",
	}, {
		"a start that ends below what is confirmed", "replication/start.go",
		"case first.Flushed < s.Confirmed.Position:", "case false:",
		"an older copy of the active's data serves", "replication", "TestStaleCopy",
	}, {
		"a fenced host does not start", "replication/start.go",
		"\tif err := s.MayStart(); err != nil {\n\t\treturn err\n\t}\n\tsignal", "\tsignal",
		"the database of a fenced host runs", "replication", "TestPrepareStart",
	}, {
		"duty and standby.signal agree", "replication/start.go",
		"standby != (s.Duty == Passive) && ", "standby != standby && ",
		"a passive's data starts as a primary", "replication", "TestPrepareStart",
	}, {
		"a start begins with closed rules", "replication/start.go",
		"\tif err := server.WriteHBA(postgres.HBA{}); err != nil {\n\t\treturn err\n\t}\n\treturn server.WriteSettings", "\treturn server.WriteSettings",
		"a passive streams from a start that it was not compared with", "replication", "TestPrepareStart",
	}, {
		"a start begins without a conninfo", "replication/start.go",
		"return server.WriteSettings(settings(s, \"\"))", "return nil",
		"a passive streams from a start that it was not compared with", "replication", "TestPrepareStart",
	}, {
		"commits wait for a name that nobody has", "replication/start.go",
		"return strconv.Quote(postgres.NoStandby)", "return \"\"",
		"the settings that are written are not those that are wanted: they are written for ever", "replication", "TestDecideActive",
	}, {
		"commits wait, whatever is asked for", "postgres/settings.go",
		"names = strconv.Quote(NoStandby)", "names = \"\"",
		"a commit waits for nobody before the pair is synchronous", "replication", "TestPrepareStart",
	}, {
		"replay to the end: of its own WAL", "replication/follow.go",
		"max(end, m.state.Current().LastConfirmed)", "max(min(end, 1), m.state.Current().LastConfirmed)",
		"a passive is read before it has replayed what it has", "replication", "TestGoalIsWhatWasConfirmed",
	}, {
		"replay to the end: of what it had confirmed", "replication/follow.go",
		"max(end, m.state.Current().LastConfirmed)", "max(end, 1)",
		"a passive whose WAL was cut is read before it has again what it had confirmed", "replication", "TestGoalIsWhatWasConfirmed",
	}, {
		"an order is for this start", "replication/follow.go",
		"case f.Passive != m.start():", "case false:",
		"a passive that was started anew streams without being compared", "replication", "TestFollowRefuses",
	}, {
		"an order is of this epoch and copy", "replication/follow.go",
		"case f.Epoch != state.Epoch || f.Incarnation != state.Incarnation:", "case false:",
		"a passive follows an active of another world", "replication", "TestFollowRefuses",
	}, {
		"a fenced passive follows nobody", "replication/follow.go",
		"case state.Fenced != nil:", "case false:",
		"a fenced passive overwrites its data", "replication", "TestFollowRefuses",
	}, {
		"a passive leaves an active that was started anew", "replication/follow.go",
		"if followed == \"\" || followed == asking || asking == \"\" {", "if followed == \"\" || asking == asking {",
		"a passive streams from a start of the active that it was not compared with", "replication", "TestStaleCopy",
	}, {
		"fencing is on the disk", "replication/apply.go",
		"\t\ts.Fenced = &f\n", "",
		"a host that has met a higher epoch serves again after a restart", "replication", "TestFence",
	}, {
		"fencing shuts the gate", "replication/apply.go",
		"\tm.apply(state, s, Decision{Reason: d.Reason, Detail: d.Detail, Remedy: d.Remedy}, m.uptime())\n", "\t_ = state\n",
		"a host that has met a higher epoch begins another write", "replication", "TestFence",
	}, {
		"fencing makes waiting writes unknown", "replication/apply.go",
		"\tm.horizon.abandon()\n", "",
		"a write waits for ever on a host that is fenced", "replication", "TestFence",
	}, {
		"what is said of doubt: no claims", "replication/apply.go",
		"case Starting, Fenced, Restoring, EpochConflict, HistoryDiffers, PassiveAhead:", "case Starting, Restoring, HistoryDiffers, PassiveAhead:",
		"a fenced host answers claims", "replication", "TestFence",
	}, {
		"the gate is open for as long as the answer is good", "replication/gate.go",
		"if !g.open || g.expired() {\n\t\treturn nil, nil, g.closed", "if !g.open {\n\t\treturn nil, nil, g.closed",
		"a host that stood still begins a write when it wakes", "replication", "TestGateExpires",
	}, {
		"a shut gate ends what is inside", "replication/gate.go",
		"\t\te.cancel(why)\n", "\t\t_ = e\n",
		"a write is begun after the gate has shut", "replication", "TestGate",
	}, {
		"data of another database does not start", "host/rundb.go",
		"if control.SystemID != s.SystemID {", "if control.SystemID != s.SystemID && false {",
		"the database of another pair runs", "host", "TestRunDBRefuses",
	}, {
		"half a join does not start", "host/rundb.go",
		"if j != nil && j.Operation != initOperation {", "if j != nil && j.Operation != initOperation && false {",
		"a copy that was not verified runs", "host", "TestRunDBRefuses",
	}, {
		"files that are bound to no machine do not start", "host/identity.go",
		"} else if ofPair && !have {", "} else if ofPair && !have && false {",
		"a copied home without its binding runs as a second active", "host", "TestRunDBRefuses|TestAHostInstalledAnewTakesItsDataBack",
	}, {
		"a host of a pair keeps its key", "host/identity.go",
		"case gone && s.Peer == nil && s.Pending == nil:", "case gone && s.Self != \"\":",
		"a new key makes a host a stranger to the other one", "host", "TestInitKeepsTheKeyOfAHostOfAPair",
	}, {
		"files of another host do not start", "host/rundb.go",
		"\tif err := h.CheckOwn(); err != nil {\n", "\tif err := h.CheckOwn(); err != nil && false {\n",
		"a copied home runs as a second active", "host", "TestRunDBRefuses",
	}, {
		"a file is synced before it has its name", "internal/durable/durable.go",
		"return f.Name(), f.Sync()", "return f.Name(), nil",
		"the state file is empty after a power loss", "replication/forgetfs", "TestForget",
	}, {
		"a name is synced", "internal/durable/durable.go",
		"\tif err := d.Sync(); err != nil {\n", "\tif err := error(nil); err != nil {\n",
		"the state that a promise rests on is the old one after a power loss", "replication/forgetfs", "TestForget",
	},
}
