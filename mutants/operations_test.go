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
		"look(state.Operation.yields() && state.Pending == nil, ", "look(true, ",
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
		"if !accepted && c.Confirm != Confirmation(c.Name) {", "if false {",
		"a passive is promoted by a slip of the hand", "replication", "TestBeforePromotion",
	}, {
		"a promotion is given up when the active is heard", "replication/promote.go",
		"case s.HeardAge <= m.policy.AnswerLimit:\n\t\t\treturn true, m.end", "case false:\n\t\t\treturn true, m.end",
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
		"no removal without a word", "replication/remove.go",
		"if c.Confirm != NotPromoted(c.Name) {", "if false {",
		"an active that was overtaken gives up the host that has the newer keys", "replication", "TestRemove",
	}, {
		"no removal of the good copy", "replication/remove.go",
		"case lacks != \"\":", "case false && lacks != \"\":",
		"the passive fences itself for good with what only it has", "replication", "TestStaleCopy|TestUncomparedActiveGivesNobodyUp",
	}, {
		"no removal in a start that was not compared", "replication/whole.go",
		"if state.Peer == nil || state.comparedIn(m.start()) {", "if state.Peer == nil || state.Compared != nil {",
		"the passive fences itself for good with what only it has", "replication", "TestUncomparedActiveGivesNobodyUp",
	}, {
		"a removal begins another epoch", "replication/remove.go",
		"s.Peer, s.Epoch = nil, next", "s.Peer = nil",
		"a passive that was removed does not fence itself", "replication", "TestRemove",
	}, {
		"a takeover compares the bytes", "replication/takeover.go",
		"own.End != b.End || !bytes.Equal(hash, b.Hash):", "own.End != b.End || len(hash) != len(b.Hash):",
		"the new active lacks, or has, what the old one did not have", "replication", "TestHasAll",
	},
	{
		"a takeover compares the ends", "replication/takeover.go",
		"own.End != b.End || !bytes.Equal(hash, b.Hash):", "!bytes.Equal(hash, b.Hash):",
		"the new active goes on with what the old one never wrote", "replication", "TestHasAll",
	},
	{
		"a takeover compares the histories", "replication/takeover.go",
		"own.Timeline != b.Timeline || !bytes.Equal(own.History, b.History) || ", "own.Timeline != b.Timeline || ",
		"a passive of another past takes over", "replication", "TestHasAll",
	},
	{
		"a takeover compares the timelines", "replication/takeover.go",
		"own.SystemID != b.SystemID || own.Timeline != b.Timeline || ", "own.SystemID != b.SystemID || ",
		"a passive of another timeline takes over", "replication", "TestHasAll",
	},
	{
		"a takeover is of this world", "replication/takeover.go",
		"case b.Epoch != state.Epoch || b.SystemID != state.SystemID:", "case false:",
		"a call of another epoch promotes a passive", "replication", "TestHasAll",
	},
	{
		"who takes over follows the active", "replication/takeover.go",
		"case start == \"\" || m.following(state) == \"\":", "case start == \"\":",
		"a passive that was not compared takes over", "replication", "TestHasAll",
	},
	{
		"a switchover that was given up stays so", "replication/takeover.go",
		"case s.Outcome != nil && s.Outcome.ID == t.ID:", "case false:",
		"a call that is late begins a switchover that both hosts call ended", "replication", "TestTakeoverIsPreparedOnce",
	},
	{
		"a takeover is of the next epoch", "replication/takeover.go",
		"s.Peer == nil || t.Epoch.Number != s.Epoch.Number+1:", "s.Peer == nil:",
		"a call of another time begins a switchover", "replication", "TestTakeoverIsPreparedOnce",
	},
	{
		"a takeover beside no other operation", "replication/takeover.go",
		"case s.Operation != nil || s.Pending != nil:", "case false:",
		"a promotion is cut off by a switchover", "replication", "TestTakeoverIsPreparedOnce",
	},
	{
		"an active that hands over does not start", "replication/switchover.go",
		"case s.Duty == Active && s.Operation.handing():", "case false:",
		"both hosts' databases are primaries after a reboot in a switchover", "replication", "TestPrepareStart",
	},
	{
		"no restore while the active answers", "replication/survivor.go",
		"case s.HeardAge <= m.policy.AnswerLimit:", "case false:",
		"two hosts serve as the active", "replication", "TestRestoreRefusal",
	},
	{
		"no restore while the log comes", "replication/survivor.go",
		"case s.MessageAge <= m.policy.AnswerLimit:", "case false:",
		"two databases are primaries", "replication", "TestRestoreRefusal",
	},
	{
		"no restore by a host that has not looked", "replication/survivor.go",
		"\tcase !s.Polled:\n", "\tcase !s.Polled && false:\n",
		"an active that lives is restored beside itself", "replication", "TestRestoreRefusal",
	},
	{
		"no restore from a copy that was never confirmed", "replication/survivor.go",
		"case state.LastConfirmed == 0:", "case false:",
		"the restored active lacks acknowledged keys", "replication", "TestRestoreRefusal",
	},
	{
		"no restore before replay has ended", "replication/survivor.go",
		"\tcase !s.Standing.Ready:\n", "\tcase !s.Standing.Ready && false:\n",
		"the restored active lacks acknowledged keys", "replication", "TestRestoreRefusal",
	},
	{
		"no restore from a fenced host", "replication/survivor.go",
		"\tcase state.Fenced != nil:\n", "\tcase state.Fenced != nil && false:\n",
		"the restored active lacks acknowledged keys", "replication", "TestRestoreRefusal",
	},
	{
		"the active that returns is the copy", "replication/survivor.go",
		"a.Incarnation != p.Peer.Incarnation || a.Epoch != p.Epoch {", "a.Epoch != p.Epoch {",
		"the destroyed active's old self is taken for the restored one", "replication", "TestReturned",
	},
	{
		"the active that returns is of the next epoch", "replication/survivor.go",
		"a.Incarnation != p.Peer.Incarnation || a.Epoch != p.Epoch {", "a.Incarnation != p.Peer.Incarnation {",
		"the destroyed active's old self is taken for the restored one", "replication", "TestReturned",
	},
	{
		"the active that returns runs", "replication/survivor.go",
		"if a.Fenced != \"\" || !a.Server.Answers || a.Server.Role != Primary || a.Server.SystemID != state.SystemID {", "if a.Fenced != \"\" {",
		"the epoch begins before the copy has recovered", "replication", "TestReturned",
	},
	{
		"no going on beside a survivor that answers", "replication/restored.go",
		"look(s.HeardAge > m.policy.AnswerLimit, survivor+", "look(true, survivor+",
		"two hosts serve as the active", "replication", "TestRestoredGoesOnAlone",
	},
	{
		"no going on beside a survivor that turns this host away", "replication/restored.go",
		"look(!away, ", "look(true, ",
		"two hosts serve as the active", "replication", "TestOutliveLooksFirst",
	},
	{
		"no going on by a host that has not looked", "replication/restored.go",
		"look(s.Polled, ", "look(true, ",
		"a host that was restored goes on beside a survivor that lives", "replication", "TestOutliveLooksFirst",
	},
	{
		"no going on with other data", "replication/restored.go",
		"look(s.Local.Epoch != nil && *s.Local.Epoch == state.Epoch, ", "look(true, ",
		"an older copy is taken for the restored one, and serves", "replication", "TestOutliveLooksFirst",
	},
	{
		"who goes on alone begins another epoch", "replication/reclaim.go",
		"s.Epoch, s.Peer, s.Compared = epoch, nil, compared", "s.Peer, s.Compared = nil, compared",
		"a survivor that is back does not fence itself", "replication", "TestRestoredGoesOnAlone",
	},
	{
		"a survivor hears that the restored host went on", "replication/survivor.go",
		"\treturn s.Duty == Passive && p != nil && from.Name ==", "\treturn false && p != nil && from.Name ==",
		"a survivor that was given up serves what it had, and says of newer keys that they do not exist", "replication", "TestTurnedAwayByTheRestoredFences",
	},
	{
		"recovery.signal", "host/restore.go",
		"\tif err := server.SetSignal(postgres.RecoverySignal); err != nil {\n", "\tif err := error(nil); err != nil {\n",
		"a copy starts on the timeline of the one that it was copied from, and forks its history", "host", "TestRestoreFromTheSurvivor",
	},
	{
		"the log is for the host that was admitted", "host/survivor.go",
		"if !a.isAdmitted(r) || a.pair.State().Duty != replication.Passive {", "if a.pair.State().Duty != replication.Passive {",
		"anybody reads the database's log", "host", "TestSurvivorTellsNobodyElse",
	},
	{
		"an active that nobody replaced is not re-cloned", "host/joincheck.go",
		"case kind == Reclone && s.Duty == replication.Active && s.Fenced == nil:", "case false:",
		"the good copy is moved aside, and an old one takes its place", "host", "TestRecloneOfWhoMayNot",
	},
	{
		"what a join replaces is kept", "host/joincopy.go",
		"\tif err := j.keepFiles(journal); err != nil {\n", "\tif err := error(nil); err != nil {\n",
		"a host that has given its join up is a stranger to its own pair", "host", "TestAbortPutsTheKeyBack",
	},
	{
		"what a join has installed is not kept", "host/before.go",
		"\tif journal.Before {\n", "\tif journal.Before && false {\n",
		"a host that has given its join up is a stranger to its own pair", "host", "TestAbortPutsTheKeyBack",
	},
	{
		"the recovery key opens what a passive has", "host/identify.go",
		"answer.Wraps = append(own, recovery...)", "answer.Wraps = append(own, recovery[:0]...)",
		"a backup of a passive is opened by nobody", "host", "TestTheRecoveryKeyOpensWhatAPassiveHas",
	},
	{
		"a rebuild wants a word", "host/rebuild.go",
		"case r.o.Confirm != r.confirmation():", "case false:",
		"a pair is rebuilt from a backup beside a host that lives", "host", "TestRebuildRefuses",
	},
	{
		"a rebuild asks who lives", "host/rebuildlook.go",
		"case !alive:", "case true || alive:",
		"a pair is rebuilt from a backup beside a host that lives", "host", "TestRebuildRefuses",
	},
	{
		"what somebody has put there stays", "host/rebuildfiles.go",
		"if !made && b.Ended && !(keys && needed) {", "if !made && b.Ended && false {",
		"a restore that is repeated removes the key of an operator's certificate", "host", "TestRebuildLeavesWhatIsAnothers",
	},
	{
		"a lost disk that comes back is not the restore's", "host/marker.go",
		"if have, err := exists(marker); err != nil || have {", "if _, err := exists(marker); err != nil || true {",
		"a restore that is given up deletes the data that was lost and has been found", "host", "TestRestoreKnowsItsDirectory",
	},
	{
		"the server of a lost disk is not stopped", "host/joincopy.go",
		"if err := h.checkMarked(journal, h.PGRoot); err != nil {", "if err := error(nil); err != nil {",
		"a restore that is given up stops the server of the data that was found", "host", "TestRestoreKnowsItsDirectory",
	},
	{
		"what a restore has not marked it does not fill", "host/bootstrap.go",
		"if err := h.checkMarked(j, dir); err != nil {", "if err := error(nil); err != nil {",
		"a restore that is repeated deletes the data that was lost and has been found", "host", "TestRestoreKnowsItsDirectory",
	},
	{
		"a disk that is mounted over a join is not the join's", "host/marker.go",
		"if is, err := which(dir); err != nil || is == j.Is {", "if is, err := which(dir); err != nil || is != \"\" {",
		"a join that is repeated or given up clears a disk that was mounted at its path", "host", "TestJoinKnowsItsDirectory",
	}, {
		"which directory a join fills is noted first", "host/bootstrap.go",
		"if j.Is, err = which(dir); err != nil {", "if _, err = which(dir); err != nil {",
		"a join that is repeated or given up clears a disk that was mounted at its path", "host", "TestJoinKnowsItsDirectory",
	}, {
		"what a restore has not marked it does not clear", "host/marker.go",
		"\tif err := h.checkMarked(j, dir); err != nil {\n", "\tif err := error(nil); err != nil {\n",
		"a restore that is given up deletes the data that was lost and has been found", "host", "TestRestoreKnowsItsDirectory",
	},
	{
		"what a killed attempt may not have made is moved aside", "host/rebuildfiles.go",
		"if !b.Ended || sum != b.Made[file] {", "if b.Ended && sum != b.Made[file] {",
		"a restore that was killed deletes the root key that an operator has put back", "host", "TestRebuildLeavesKeys",
	},
	{
		"keys that are not the attempt's are moved aside", "host/rebuildfiles.go",
		"if !made && keys {", "if !made && keys && false {",
		"a restore that is repeated deletes the root key that an operator has put back", "host", "TestRebuildLeavesKeys",
	},
	{
		"each wrap has its sum", "host/rebuildfiles.go",
		"if err != nil || d.IsDir() {\n\t\t\treturn err\n\t\t}\n\t\tif !d", "if err != nil || d.IsDir() {\n\t\t\treturn fs.SkipDir\n\t\t}\n\t\tif !d",
		"the key-encryption keys that an operator has put back are deleted beside the root key", "host", "TestRebuildLeavesKeys",
	},
	{
		"an attempt notes what it has made alone", "host/rebuildfiles.go",
		"if !r.claimed {", "if r == nil {",
		"what an operator has put back is taken for what the restore has made", "host", "TestRebuildLeavesKeys",
	},
	{
		"an abort finds the copy", "host/abort.go",
		"cmp.Or(journal.Making, h.PGRoot)", "cmp.Or(h.PGRoot, journal.Making)",
		"a database lies about that nobody knows of", "host", "TestAbortFindsTheCopy",
	},
	{
		"a rebuild goes on where it began", "host/rebuild.go",
		"if journal.Making != \"\" && journal.Making != r.PGRoot {", "if journal.Making != \"\" && journal.Making == \"none\" {",
		"a database lies about that nobody knows of", "host", "TestAbortFindsTheCopy",
	},
	{
		"a rebuild asks whom it is told", "host/rebuildlook.go",
		"for _, given := range r.o.AlsoAsk {", "for _, given := range r.o.AlsoAsk[:0] {",
		"a pair is rebuilt from a backup beside a host that joined later and lives", "host", "TestRebuildAsksWhomItIsTold",
	},
	{
		"a host of a pair is not rebuilt", "host/rebuild.go",
		"if have && !slices.Contains(mine, path) &&", "if have && false && !slices.Contains(mine, path) &&",
		"the good copy's keys are replaced by those of a backup", "host", "TestRebuildRefuses",
	},
	{
		"what is rebuilt was opened", "host/rebuild.go",
		"if err := r.o.Check(ctx, server, ring, r.fromDump != \"\"); err != nil {", "if err := r.o.Check(ctx, server, ring, r.fromDump != \"\"); err != nil && false {",
		"a pair is rebuilt, and some of its keys do not open", "host", "TestRebuildFromABackup",
	},
	{
		"a rebuilt pair is ahead of the lost one", "host/rebuildlook.go",
		"r.was.Epoch.Number + epochsSince", "r.was.Epoch.Number",
		"a rebuilt host fences itself for what the lost ones were", "host", "TestRebuildFromABackup",
	},
	{
		"a lost root key opens nothing", "host/rebuildfiles.go",
		"if w.Recipient == root.Fingerprint() || w.Recipient == recovery.Fingerprint() {", "if true || w.Recipient == recovery.Fingerprint() {",
		"who stole a host opens the files of the new one", "host", "TestRebuildFromABackup",
	},
	{
		"what a rebuild makes is noted first", "host/rebuild.go",
		"\tif err := r.claim(journal); err != nil {\n", "\tif err := error(nil); err != nil {\n",
		"a rebuild that was killed can neither go on nor be given up", "host", "TestRebuildFromABackup",
	},
}
