package mutants

// horizon are the guards of an acknowledgement: what the passive has confirmed, and that it is believed.
var horizon = []row{
	{
		"peer confirmation", "replication/horizon.go",
		"if w.proven && w.at <= h.position {", "if w.proven {",
		"a write is acknowledged that the passive has not flushed and replayed", "replication", "TestAwait",
	}, {
		"named row", "replication/horizon.go",
		"if w.proven && w.at <= h.position {", "if w.at <= h.position {",
		"a write is acknowledged whose row the passive has not read and opened", "replication", "TestAwait",
	}, {
		"a position is of one world", "replication/horizon.go",
		"if w == h.world && at > h.position {", "if at > h.position {",
		"a position of another copy of the data confirms a write", "replication", "TestAwait",
	}, {
		"another world confirms nothing yet", "replication/horizon.go",
		"h.world, h.position = w, 0", "h.world = w",
		"a position from before a clone, or a switchover, confirms a write after it", "replication", "TestAwait",
	}, {
		"another world makes waiting writes unknown", "replication/horizon.go",
		"\tif !first {\n\t\th.abandonLocked()\n\t\treturn\n\t}\n", "\tif !first {\n\t\treturn\n\t}\n",
		"a write is acknowledged by a passive that never had it", "replication", "TestAwait",
	}, {
		"a fenced host acknowledges nothing", "replication/horizon.go",
		"if s.Fenced != nil || s.Epoch != w.world.Epoch", "if s.Epoch != w.world.Epoch",
		"a host that has met a higher epoch acknowledges a write", "replication", "TestAwait",
	}, {
		"an acknowledgement is on the disk first", "replication/horizon.go",
		"c.Acknowledged = append(c.Acknowledged, w.xid)", "_ = append(c.Acknowledged, w.xid)",
		"an acknowledged key is gone after a crash beside a dead passive", "replication", "TestAwait",
	}, {
		"the proofs are compared", "replication/prove.go",
		"case len(mine.proofs) != len(rows) || !slices.EqualFunc(mine.proofs, a.Rows, hmac.Equal):", "case len(mine.proofs) != len(rows) || len(a.Rows) != len(rows) && !slices.EqualFunc(mine.proofs, a.Rows, hmac.Equal):",
		"a key is acknowledged that the passive opens to something else", "replication", "TestProvesRows",
	}, {
		"a proof is of a position that covers the rows", "replication/prove.go",
		"!ok || w != world || a.position() < at {", "!ok || w != world {",
		"a proof counts although the passive has not replayed the rows", "replication", "TestProvesRows",
	}, {
		"a proof is of the world of the rows", "replication/prove.go",
		"!ok || w != world || a.position() < at {", "!ok || w != w || a.position() < at {",
		"a proof of another copy of the data acknowledges a write", "replication", "TestProvesRows",
	}, {
		"the roots are compared", "replication/prove.go",
		"case len(mine) == 0 || !hmac.Equal(mine, a.Root):", "case len(mine) == 0:",
		"the gate is open beside a passive that can open no key", "replication", "TestProvesRoots",
	}, {
		"a proof is bound to who makes it", "replication/heartbeat.go",
		"[]any{\"keytrustee proof\", nonce, epoch, prover}", "[]any{\"keytrustee proof\", nonce, epoch}",
		"a host hands back the proof that it was sent", "replication", "TestProofIsBound",
	}, {
		"a proof is bound to its question", "replication/heartbeat.go",
		"[]any{\"keytrustee proof\", nonce, epoch, prover}", "[]any{\"keytrustee proof\", epoch, prover}",
		"an old proof is good again", "replication", "TestProofIsBound",
	}, {
		"a proof is bound to its epoch", "replication/heartbeat.go",
		"[]any{\"keytrustee proof\", nonce, epoch, prover}", "[]any{\"keytrustee proof\", nonce, prover}",
		"a proof of another epoch is good in this one", "replication", "TestProofIsBound",
	}, {
		"a proof is bound to its position", "replication/heartbeat.go",
		"binary.BigEndian.AppendUint64(text, uint64(at))", "binary.BigEndian.AppendUint64(text, 0)",
		"a proof is good for a position that it was not made at", "replication", "TestProofIsBound",
	}, {
		"an answer is to this question", "replication/watch.go",
		"!bytes.Equal(a.Nonce, q.Nonce) || a.Name != to.Name", "!bytes.Equal(a.Nonce, a.Nonce) || a.Name != to.Name",
		"a heartbeat that was buffered while the host stood still counts as fresh", "replication", "TestAnswerIsToTheQuestion",
	}, {
		"an answer is of the host that was asked", "replication/watch.go",
		"!bytes.Equal(a.Nonce, q.Nonce) || a.Name != to.Name", "!bytes.Equal(a.Nonce, q.Nonce)",
		"another host's positions confirm a write", "replication", "TestAnswerIsToTheQuestion",
	}, {
		"believed: the starts that were compared", "replication/watch.go",
		"ok := *state.Compared == want && ", "ok := want.Active != \"\" && ",
		"a position of a start that was not compared confirms a write", "replication", "TestBelievable",
	}, {
		"believed: no start below what is confirmed", "replication/watch.go",
		"want.Passive != \"\" && below == \"\" &&", "want.Passive != \"\" && (below == \"\" || true) &&",
		"an older copy of the active confirms writes", "replication", "TestBelievable",
	}, {
		"believed: this host's own server", "replication/watch.go",
		"server.Start == want.Active && server.SystemID == state.SystemID &&", "true &&",
		"positions are compared with those of another server", "replication", "TestBelievable",
	}, {
		"believed: a passive that is not fenced", "replication/watch.go",
		"a.Fenced == \"\" && a.Duty == Passive &&", "a.Duty == Passive &&",
		"a fenced passive confirms writes", "replication", "TestBelievable",
	}, {
		"believed: a passive", "replication/watch.go",
		"a.Fenced == \"\" && a.Duty == Passive &&", "a.Fenced == \"\" &&",
		"an active confirms writes", "replication", "TestBelievable",
	}, {
		"believed: a standby that answers", "replication/watch.go",
		"a.Server.Answers && a.Server.Role == Standby &&", "true &&",
		"a primary confirms writes that it does not have", "replication", "TestBelievable",
	}, {
		"believed: the same world", "replication/watch.go",
		"w == World{a.Server.SystemID, a.Server.Timeline, a.Epoch, a.Incarnation} &&", "true &&",
		"a position of another timeline, epoch or copy confirms a write", "replication", "TestBelievable",
	}, {
		"believed: settings that make flushed true", "replication/watch.go",
		"differences(a.Server.Settings, durableSettings) == \"\"", "true",
		"a passive that does not fsync confirms writes", "replication", "TestBelievable",
	}, {
		"the passive has replayed what it proves", "replication/answer.go",
		"\tif err := m.replayed(ctx, q.At); err != nil {\n", "\tif err := m.replayed(ctx, 0); err != nil {\n",
		"a proof is made before the row can be read", "replication", "TestPassiveProves",
	}, {
		"the passive remembers what it has proven", "replication/answer.go",
		"go func() { written <- m.raiseConfirmed(q.At) }()", "go func() { written <- nil }()",
		"a passive that is started anew is read before it has replayed an acknowledged key", "replication", "TestPassiveProves",
	}, {
		"a passive proves in its own epoch", "replication/answer.go",
		"if state.Duty != Passive || state.Fenced != nil || state.Epoch != q.Epoch {", "if state.Duty != Passive || state.Fenced != nil {",
		"a passive of another epoch proves rows", "replication", "TestPassiveProves",
	}, {
		"a fenced passive proves nothing", "replication/answer.go",
		"if state.Duty != Passive || state.Fenced != nil || state.Epoch != q.Epoch {", "if state.Duty != Passive || state.Epoch != q.Epoch {",
		"a fenced passive proves rows", "replication", "TestPassiveProves",
	}, {
		"a passive has confirmed what it has", "replication/answer.go",
		"at := min(said, m.facts.server.Flushed, m.facts.server.Replayed)", "at := said",
		"a wrong active makes the passive wait for ever for what was never written", "replication", "TestNoteConfirmedBelievesWhatThisCopyHas",
	}, {
		"a snapshot is confirmed by the passive", "replication/canary.go",
		"\t\terr = m.awaitCanary(ctx, c)\n", "",
		"a row is shown that one host alone has", "replication", "TestGhosts",
	}, {
		"a snapshot's position is where the next record goes", "replication/canary.go",
		"select pg_current_wal_insert_lsn()::text", "select pg_current_wal_flush_lsn()::text",
		"a transaction that was rolled back and lost in a crash shows another's row", "replication", "TestCanaryCoversWhatItSees",
	}, {
		"a fenced host confirms no snapshot", "replication/canary.go",
		"if s.Fenced != nil || s.Epoch != c.epoch {", "if s.Epoch != c.epoch {",
		"a host that has met a higher epoch shows what it alone has", "replication", "TestFencedConfirmsNoSnapshot",
	}, {
		"a snapshot is confirmed by the present passive", "replication/canary.go",
		"if s.Fenced != nil || s.Epoch != c.epoch {", "if s.Fenced != nil {",
		"what a passive had that was replaced is shown beside one that was told that it lacks nothing", "replication", "TestSnapshotIsOfItsEpoch",
	},
	{
		"what is confirmed covers what was acknowledged", "replication/horizon.go",
		"w.Incarnation != s.Peer.Incarnation || h.position < s.Confirmed.Position {", "w.Incarnation != s.Peer.Incarnation {",
		"a passive that has just joined says \"no such key\" of what was acknowledged through its predecessor, or is promoted without it", "replication", "TestCovering",
	},
	{
		"what is confirmed is of this passive", "replication/horizon.go",
		"s.Peer == nil || w.SystemID != s.SystemID || w.Epoch != s.Epoch || w.Incarnation != s.Peer.Incarnation || ", "s.Peer == nil || w == (World{}) || ",
		"a passive that has just joined is told what its predecessor had confirmed", "replication", "TestCovering",
	},
	{
		"a passive hears what covers", "replication/watch.go",
		"q.Confirmed = m.horizon.covering(state)", "q.Confirmed = m.horizon.Confirmed()",
		"a passive that has just joined says \"no such key\" of what was acknowledged through its predecessor, or is promoted without it", "replication", "TestSaysWhatCovers",
	},
	{
		"the first word is of all", "replication/answer.go",
		"at == 0 || last == 0 && at < said || ", "at == 0 || ",
		"a passive that has just joined takes itself for whole by what it has", "replication", "TestFirstWordIsOfAll",
	},
	{
		"a copy that may lack something proves nothing", "replication/answer.go",
		"\tif state.LastConfirmed == 0 {\n", "\tif false {\n",
		"a passive that has just joined is whole by one row", "replication", "TestPassiveProves",
	},
	{
		"an acknowledgement is of its epoch", "replication/horizon.go",
		"s.Fenced != nil || s.Epoch != w.world.Epoch || ", "s.Fenced != nil || ",
		"a write of the epoch before is acknowledged in the next one", "replication", "TestAcknowledgementIsOfItsEpoch",
	},
}
