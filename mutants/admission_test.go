package mutants

// admission are the guards of who is let in, and of who is taken for the peer.
var admission = []row{
	{
		"a certificate of this cluster", "replication/peer/server.go",
		"if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {", "if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {",
		"a stranger speaks as the peer", "replication/peer", "TestAnUnverifiedCertificateIsNone",
	}, {
		"the peer and no other node", "replication/peer/server.go",
		"if p == nil || p.Name != name {", "if p == nil {",
		"a node that was replaced speaks as the peer", "replication/peer", "TestOnlyThePeer|TestTheKeyIsThePeer",
	}, {
		"the key that joined", "replication/peer/server.go",
		"if p.ShownBy(r.TLS.PeerCertificates[0]) {", "if true {",
		"a host that was rebuilt is spoken for by its old self", "replication/peer", "TestTheKeyIsThePeer",
	}, {
		"a heartbeat in its own name", "replication/peer/server.go",
		"\t\t\tif q.From != name {\n", "\t\t\tif q.From != name && false {\n",
		"a joiner speaks in the passive's name", "replication/peer", "TestOnlyThePeer|TestCalls",
	}, {
		"a token is known", "host/tokens.go",
		"if i < 0 {", "if i < 0 && len(all) == 0 {",
		"who guesses is let in", "host", "TestTokens",
	}, {
		"a token is good once", "host/tokens.go",
		"case t.Used != nil && !(pending && t.UsedBy == root):", "case false:",
		"a token that was seen lets a second host in", "host", "TestTokensAreUsedUp",
	}, {
		"a token is good for one host", "host/tokens.go",
		"!(pending && t.UsedBy == root):", "!(pending):",
		"a token that was used lets another host in", "host", "TestTokensAreUsedUp",
	}, {
		"a token expires", "host/tokens.go",
		"case !now.Before(t.Expires):", "case false:",
		"a token that was forgotten lets a host in", "host", "TestTokens|TestTokensAreUsedUp",
	}, {
		"no token while a passive answers", "host/tokens.go",
		"case state.Peer != nil && a.pair.Report().PeerAnswers && !replace:", "case false:",
		"a passive that is confirmed is replaced by mistake", "host", "TestNoTokenWhileAPassiveAnswers",
	}, {
		"a joiner's database answers", "replication/join.go",
		"case !a.Server.Answers:", "case false:",
		"a copy that never starts fences the passive that has every acknowledged key", "replication", "TestComesIn",
	}, {
		"a joiner's database is a standby", "replication/join.go",
		"case a.Server.Role != Standby || a.Server.SystemID != state.SystemID:", "case a.Server.SystemID != state.SystemID:",
		"a primary takes the passive's place", "replication", "TestComesIn",
	}, {
		"a joiner's database is of this pair", "replication/join.go",
		"case a.Server.Role != Standby || a.Server.SystemID != state.SystemID:", "case a.Server.Role != Standby:",
		"another database takes the passive's place", "replication", "TestComesIn",
	}, {
		"a joiner does not take the place of a passive that is there", "replication/join.go",
		"\tcase streaming || answers:\n", "\tcase false && (streaming || answers):\n",
		"a passive that is confirmed is replaced by mistake", "replication", "TestComesInBesideNobody",
	}, {
		"a joiner does not take the place of a passive that streams", "replication/join.go",
		"\tcase streaming || answers:\n", "\tcase answers:\n\t\t_ = streaming\n",
		"a passive that is confirmed is replaced by mistake", "replication", "TestComesInBesideNobody",
	}, {
		"a joiner does not take the place of a passive that was not asked", "replication/join.go",
		"case !s.Polled || awake <= m.policy.AnswerLimit:", "case awake < 0:",
		"a passive that is confirmed is replaced when the active starts anew", "replication", "TestComesInBesideNobody",
	}, {
		"a joiner does not take the place of a passive that has more", "replication/join.go",
		"case v == Verdict(PassiveAhead) || v == Verdict(HistoryDiffers):", "case v == Verdict(HistoryDiffers):",
		"the good copy is fenced", "replication", "TestComesInBesideNobody",
	}, {
		"a question of the active's own", "host/believe.go",
		"if !a.takeNonce(q.Nonce) {", "if !a.takeNonce(q.Nonce) && false {",
		"a request to join that was seen is played again", "host", "TestJoinNeedsTheRootKeyItself",
	}, {
		"the proof of the root key", "host/believe.go",
		"if !hmac.Equal(want, q.Proof) {", "if !hmac.Equal(want, q.Proof) && false {",
		"who has no root key is let in, and given the cluster's keys", "host", "TestJoinNeedsTheRootKeyItself",
	}, {
		"a proof is bound to the key that is certified", "host/believe.go",
		"fmt.Appendf(nil, \"keytrustee join\\x00%x\\x00%x\", nonce, csr)", "fmt.Appendf(nil, \"keytrustee join\\x00%x\", nonce)",
		"who stands between the hosts has his own key certified", "host", "TestProofIsBoundToTheKey",
	}, {
		"no copy of an older copy", "replication/join.go",
		"case why != \"\" && !j.Replace:", "case why != \"\" && j.Replace:",
		"a copy that lacks acknowledged keys takes the place of the good one", "replication", "TestStaleCopy|TestUncomparedActiveGivesNobodyUp",
	}, {
		"who joins shows what he has had", "replication/whole.go",
		"if why, do = differing(v, detail, state.Self, j.Name); why != \"\" {", "if why, do = differing(v, detail, state.Self, j.Name); why != \"\" && state.Peer == nil {",
		"data that goes on beyond the active's is moved aside", "host", "TestRecloneOfAnotherHistory",
	}, {
		"another copy's log is no witness", "replication/whole.go",
		" && j.Had.Incarnation == state.Peer.Incarnation {", " {",
		"a host that has an old copy takes the place of the one that has the good one", "replication", "TestUncomparedActiveGivesNobodyUp",
	}, {
		"a log that was cut is no witness", "host/request.go",
		"if q.Had == nil || q.Had.End < q.Confirmed {", "if q.Had == nil {",
		"a passive that can not be read to its end is taken for one that the active has all of", "host", "TestALogThatWasCutIsNoWitness",
	}, {
		"what a host gives up is looked at once", "host/joinhad.go",
		"if journal.Incarnation != \"\" || j.had == nil", "if j.had == nil",
		"half of a copy says what the data was that was moved aside", "host", "TestRecloneRepeatedAfterACrash",
	}, {
		"a copy is verified", "postgres/backup.go",
		"out, err := cmd.CombinedOutput()\n\tif err == nil {", "out, err := cmd.CombinedOutput()\n\tif err == nil || out != nil {",
		"a copy with a flipped byte becomes the passive", "host", "TestJoinFindsAFlippedByte",
	}, {
		"an end of the log that was seen some time ago is looked at anew", "host/admit.go",
		"behind() && time.Now().Before(deadline)", "behind() && time.Now().After(deadline)",
		"a passive whose root key is lost is not cloned, since it was confirmed a moment ago", "host", "TestNoCloneOfAnOlderCopy",
	},
}
