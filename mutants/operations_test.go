package mutants

// operations are the guards of what an operator does.
var operations = []row{
	{
		"a hold shuts the gate before it returns", "replication/hold.go",
		"\tm.evaluate() // shuts the gate\n", "",
		"a write begins after the operator was told that none does", "replication", "TestHold",
	}, {
		"a hold ends by itself", "replication/hold.go",
		"\tif m.now().Before(o.Until) {\n", "\tif m.now().Before(o.Until) || true {\n",
		"a forgotten hold keeps the writes away for ever", "replication", "TestHold",
	}, {
		"no promotion while the active answers", "replication/promote.go",
		"look(s.HeardAge > m.policy.AnswerLimit, active+", "look(s.HeardAge > 0, active+",
		"two hosts serve as the active", "replication", "TestBeforePromotion",
	}, {
		"no promotion by a host that has not looked", "replication/promote.go",
		"look(s.Polled, ", "look(true, ",
		"a passive that stood still is promoted beside a living active", "replication", "TestBeforePromotion",
	}, {
		"no promotion while the log comes", "replication/promote.go",
		"look(s.MessageAge > m.policy.AnswerLimit, ", "look(true, ",
		"a passive is promoted beside a living database", "replication", "TestBeforePromotion",
	}, {
		"no promotion without the active's name", "replication/promote.go",
		"look(active == name, ", "look(true, ",
		"the wrong host is taken for dead", "replication", "TestBeforePromotion",
	}, {
		"no promotion of a fenced host", "replication/promote.go",
		"look(state.Fenced == nil, ", "look(true, ",
		"a host that lacks acknowledged keys becomes the active", "replication", "TestBeforePromotion",
	}, {
		"no promotion in another operation", "replication/promote.go",
		"look(state.Operation == nil && state.Pending == nil, ", "look(true, ",
		"an operation is cut off by another", "replication", "TestBeforePromotion",
	}, {
		"no promotion before replay has ended", "replication/promote.go",
		"look(s.Standing.Ready, ", "look(true, ",
		"the new active lacks acknowledged keys", "replication", "TestBeforePromotion",
	}, {
		"no promotion of a copy that was never confirmed", "replication/promote.go",
		"look(state.LastConfirmed != 0, ", "look(true, ",
		"the new active lacks acknowledged keys", "replication", "TestBeforePromotion",
	}, {
		"no promotion of a host that opens no key", "replication/promote.go",
		"look(err == nil, ", "look(true, ",
		"the new active serves nothing", "replication", "TestBeforePromotion",
	}, {
		"no promotion without a word", "replication/promote.go",
		"if c.Confirm != Confirmation(c.Name) {", "if false {",
		"a passive is promoted by a slip of the hand", "replication", "TestBeforePromotion",
	}, {
		"a promotion is given up when the active is heard", "replication/promote.go",
		"case s.HeardAge <= m.policy.AnswerLimit:\n\t\t\treturn true, m.giveUp", "case false:\n\t\t\treturn true, m.giveUp",
		"two hosts serve as the active", "replication", "TestPromotionIsGivenUp",
	}, {
		"a promotion waits for a look", "replication/promote.go",
		"\t\tcase !s.Polled:\n", "\t\tcase false:\n",
		"a passive that stood still leaves a living active", "replication", "TestPromotionIsGivenUp",
	}, {
		"who leaves his active is compared with nobody", "replication/fork.go",
		"\t\ts.Compared = nil\n", "",
		"a passive that is being promoted streams again after a restart", "replication", "TestPromotionIsGivenUp",
	}, {
		"who is about to be the active follows nobody", "replication/follow.go",
		"case state.Operation.taking():", "case false:",
		"an order from the old active makes a standby of the new one", "replication", "TestPromotionIsGivenUp",
	}, {
		"the WAL receiver has ended before the fork", "replication/fork.go",
		"\t\tif receives {\n", "\t\tif receives && false {\n",
		"the new active goes on with what was not confirmed by anybody", "replication", "TestLeaveAwaitsTheReceiver",
	}, {
		"a new active begins another epoch", "replication/fork.go",
		"s.Duty, s.Epoch, s.SyncEnabled = Active, o.Epoch, true", "s.Duty, s.SyncEnabled = Active, true",
		"the old active does not fence itself", "replication", "TestPromotion",
	}, {
		"a new active waits for its passive from the start", "replication/fork.go",
		"s.Duty, s.Epoch, s.SyncEnabled = Active, o.Epoch, true", "s.Duty, s.Epoch = Active, o.Epoch",
		"the new active is asynchronous until somebody notices", "replication", "TestPromotion",
	}, {
		"an ancestor's log ends before the fork", "replication/start.go",
		"case b.End > until:", "case false && b.End > until:",
		"a host whose log went on after the fork follows, and loses the end", "replication", "TestPromotion",
	}, {
		"no removal while the passive answers", "replication/remove.go",
		"case s.HeardAge <= m.policy.AnswerLimit:", "case false:",
		"a passive that is confirmed is given up by mistake", "replication", "TestRemove",
	}, {
		"no removal while the passive streams", "replication/remove.go",
		"\tcase streams:\n", "\tcase streams && false:\n",
		"a passive that streams is given up by mistake", "replication", "TestRemove",
	}, {
		"a removal begins another epoch", "replication/remove.go",
		"s.Peer, s.Epoch = nil, next", "s.Peer = nil",
		"a passive that was removed does not fence itself", "replication", "TestRemove",
	},
}
