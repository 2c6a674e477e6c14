package mutants

// decide are the rules of the gate, each left out, and what each of them looks at.
var decide = []row{
	{
		"rule fenced", "replication/decide.go",
		"activeRules = []rule{fenced, conflict", "activeRules = []rule{conflict",
		"a fenced host opens its gate", "replication", "TestDecideActive",
	},
	{
		"rule conflict", "replication/decide.go",
		"activeRules = []rule{fenced, conflict, operation", "activeRules = []rule{fenced, operation",
		"two hosts are active in one epoch, or a replaced host goes on", "replication", "TestDecideActive",
	},
	{
		"rule operation", "replication/decide.go",
		"activeRules = []rule{fenced, conflict, operation, unpolled", "activeRules = []rule{fenced, conflict, unpolled",
		"the gate opens in the middle of an operation, or while an operator holds it", "replication", "TestDecideActive",
	},
	{
		"rule unpolled", "replication/decide.go",
		"activeRules = []rule{fenced, conflict, operation, unpolled, localServer", "activeRules = []rule{fenced, conflict, operation, localServer",
		"a host that stood still opens its gate by what it saw before", "replication", "TestDecideActive",
	},
	{
		"rule localServer", "replication/decide.go",
		"localServer, noPeer", "noPeer",
		"the gate opens over a database that is silent, or another", "replication", "TestDecideActive",
	},
	{
		"rule noPeer", "replication/decide.go",
		"noPeer, ownSettings", "ownSettings",
		"a write is begun without a passive", "replication", "TestDecideActive",
	},
	{
		"rule ownSettings", "replication/decide.go",
		"ownSettings, identity", "identity",
		"COMMIT waits for less, or for nobody", "replication", "TestDecideActive",
	},
	{
		"rule identity", "replication/decide.go",
		"identity, comparison", "comparison",
		"a passive of another copy of the data counts", "replication", "TestDecideActive",
	},
	{
		"rule comparison", "replication/decide.go",
		"comparison, syncNotEnabled", "syncNotEnabled",
		"the gate opens over histories that differ", "replication", "TestDecideActive",
	},
	{
		"rule syncNotEnabled", "replication/decide.go",
		"syncNotEnabled,\n\tpresence", "presence",
		"the gate opens before replication is synchronous", "replication", "TestDecideActive",
	},
	{
		"rule presence", "replication/decide.go",
		"presence, versions", "versions",
		"a write is begun although the passive is silent", "replication", "TestDecideActive",
	},
	{
		"rule versions", "replication/decide.go",
		"versions, peerSettings", "peerSettings",
		"the gate opens between versions that do not fit", "replication", "TestDecideActive",
	},
	{
		"rule peerSettings", "replication/decide.go",
		"peerSettings, streaming", "streaming",
		"a passive that does not fsync, or does not replay, counts", "replication", "TestDecideActive",
	},
	{
		"rule streaming", "replication/decide.go",
		"streaming, progress", "progress",
		"the gate opens without the named standby, streaming and synchronous", "replication", "TestDecideActive",
	},
	{
		"rule progress", "replication/decide.go",
		"progress, whole, rootProofs", "whole, rootProofs",
		"the gate is open over a passive that stands still", "replication", "TestDecideActive",
	},
	{
		"rule whole", "replication/decide.go",
		"progress, whole, rootProofs", "progress, rootProofs",
		"a key is made beside a passive that can not take over", "replication", "TestDecideActive",
	},
	{
		"rule through", "replication/decide.go",
		"room, through}", "room}",
		"after a cut the gate opens over a connection that is about to end", "replication", "TestDecideActive",
	},
	{
		"how long ago something came through", "replication/facts.go",
		"s.Through = age(now, f.through)", "s.Through = 0",
		"after a cut the gate opens over a connection that is about to end", "replication", "TestThrough",
	},
	{
		"rule rootProofs", "replication/decide.go",
		"rootProofs, room,", "room,",
		"a key is made that one host can not open", "replication", "TestDecideActive",
	},
	{
		"rule room", "replication/decide.go",
		"room, through", "through",
		"a disk fills, or the WAL that the passive needs is given up, while writes go on", "replication", "TestDecideActive",
	},
	{
		"passive's rule fenced", "replication/decide.go",
		"var passiveRules = []rule{fenced, conflict, operation, unpolled, localServer, notReady, activeGone}", "var passiveRules = []rule{conflict, operation, unpolled, localServer, notReady, activeGone}",
		"a fenced passive is read", "replication", "TestDecidePassive",
	},
	{
		"passive's rule conflict", "replication/decide.go",
		"var passiveRules = []rule{fenced, conflict, operation, unpolled, localServer, notReady, activeGone}", "var passiveRules = []rule{fenced, operation, unpolled, localServer, notReady, activeGone}",
		"a passive that was replaced goes on", "replication", "TestDecidePassive",
	},
	{
		"passive's rule operation", "replication/decide.go",
		"var passiveRules = []rule{fenced, conflict, operation, unpolled, localServer, notReady, activeGone}", "var passiveRules = []rule{fenced, conflict, unpolled, localServer, notReady, activeGone}",
		"a passive takes part in what an operation forbids", "replication", "TestDecidePassive",
	},
	{
		"passive's rule unpolled", "replication/decide.go",
		"var passiveRules = []rule{fenced, conflict, operation, unpolled, localServer, notReady, activeGone}", "var passiveRules = []rule{fenced, conflict, operation, localServer, notReady, activeGone}",
		"a passive that stood still is read", "replication", "TestDecidePassive",
	},
	{
		"passive's rule localServer", "replication/decide.go",
		"var passiveRules = []rule{fenced, conflict, operation, unpolled, localServer, notReady, activeGone}", "var passiveRules = []rule{fenced, conflict, operation, unpolled, notReady, activeGone}",
		"a passive whose database is a primary is read", "replication", "TestDecidePassive",
	},
	{
		"passive's rule notReady", "replication/decide.go",
		"var passiveRules = []rule{fenced, conflict, operation, unpolled, localServer, notReady, activeGone}", "var passiveRules = []rule{fenced, conflict, operation, unpolled, localServer, activeGone}",
		"a passive is read before it has replayed what it had confirmed", "replication", "TestDecidePassive",
	},
	{
		"passive's rule activeGone", "replication/decide.go",
		"var passiveRules = []rule{fenced, conflict, operation, unpolled, localServer, notReady, activeGone}", "var passiveRules = []rule{fenced, conflict, operation, unpolled, localServer, notReady}",
		"a write is sent to an active that is gone", "replication", "TestDecidePassive",
	},
	{
		"a higher epoch fences", "replication/decide.go",
		"if s.Epoch.supersededBy(s.Peer.Epoch) && ", "if s.Epoch.supersededBy(s.Peer.Epoch) && false && ",
		"a host that was replaced goes on", "replication", "TestWhoFences|TestDecideActive",
	},
	{
		"an epoch of the same number and another id", "replication/epoch.go",
		"other.Number > e.Number || other.Number == e.Number && other.ID != e.ID", "other.Number > e.Number",
		"two hosts that were both promoted do not see each other", "replication", "TestWhoFences",
	},
	{
		"two actives in one epoch", "replication/decide.go",
		"if s.Peer.Epoch == s.Epoch && s.Peer.Duty == Active && s.Duty == Active {", "if false {",
		"a copied home serves as a second active", "replication", "TestDecideActive",
	},
	{
		"the database's own epoch", "replication/decide.go",
		"if s.Local.Epoch != nil && s.Epoch.supersededBy(*s.Local.Epoch) && s.Duty == Active {", "if false {",
		"an old state file beside newer data serves", "replication", "TestDecideActive",
	},
	{
		"a database that hangs", "replication/decide.go",
		"case s.Age > p.AnswerLimit:", "case false:",
		"the gate is open over a database that hangs", "replication", "TestDecideActive",
	},
	{
		"a database in recovery", "replication/decide.go",
		"case s.Local.Role != s.Duty.role() && !s.Operation.forking():", "case false:",
		"an active writes to a standby", "replication", "TestDecideActive",
	},
	{
		"a database of another pair", "replication/decide.go",
		"case s.Local.SystemID != s.SystemID:", "case false:",
		"another pair's database serves", "replication", "TestDecideActive",
	},
	{
		"a database that ends below what is confirmed", "replication/decide.go",
		"case s.Standing.Below != \"\":", "case false:",
		"an older copy of the data serves", "replication", "TestDecideActive",
	},
	{
		"a peer of an older epoch", "replication/rules.go",
		"case s.Peer.Epoch != s.Epoch:", "case false:",
		"a passive of an older epoch counts", "replication", "TestDecideActive",
	},
	{
		"a peer that has fenced itself", "replication/rules.go",
		"case s.Peer.Fenced != \"\":", "case false:",
		"a fenced passive counts", "replication", "TestDecideActive",
	},
	{
		"a peer in recovery", "replication/rules.go",
		"s.Peer.Duty != Passive || s.Peer.Server.Answers && s.Peer.Server.Role != Standby:", "s.Peer.Duty != Passive:",
		"a primary counts as a passive", "replication", "TestDecideActive",
	},
	{
		"a peer of the copy that joined", "replication/rules.go",
		"case s.Peer.Incarnation != s.Incarnation:", "case false:",
		"another copy of the data counts", "replication", "TestDecideActive",
	},
	{
		"a peer of the same database", "replication/rules.go",
		"case s.Peer.Server.Answers && s.Peer.Server.SystemID != s.SystemID:", "case false:",
		"another database counts", "replication", "TestDecideActive",
	},
	{
		"a slot that has lost WAL", "replication/rules.go",
		"if s.Slot != nil && s.Slot.WALStatus == \"lost\" {", "if false {",
		"the operator is not told that the passive has to be cloned", "replication", "TestDecideActive",
	},
	{
		"one standby of the name", "replication/rules.go",
		"\tcase n > 1:\n", "\tcase n > 9:\n",
		"an impostor confirms commits", "replication", "TestDecideActive",
	},
	{
		"the standby's user", "replication/rules.go",
		"(row.User != postgres.Replicator || commonName(row.ClientDN) != s.PeerName)", "(row.User == \"\" && row.User != postgres.Replicator || commonName(row.ClientDN) != s.PeerName)",
		"an impostor confirms commits", "replication", "TestDecideActive",
	},
	{
		"the standby's certificate", "replication/rules.go",
		"(row.User != postgres.Replicator || commonName(row.ClientDN) != s.PeerName)", "(row.User != postgres.Replicator)",
		"an impostor confirms commits", "replication", "TestDecideActive",
	},
	{
		"not compared yet", "replication/rules.go",
		"case s.Standing.Verdict == \"\":", "case false:",
		"the gate opens before the histories are compared", "replication", "TestDecideActive",
	},
	{
		"a standby that streams", "replication/rules.go",
		"\tcase !ok:\n", "\tcase !ok && false:\n",
		"a passive that catches up counts", "replication", "TestDecideActive",
	},
	{
		"a standby that is synchronous", "replication/rules.go",
		"case row.SyncState != \"sync\":", "case false:",
		"a potential standby counts", "replication", "TestDecideActive",
	},
	{
		"settings of a role", "replication/rules.go",
		"if s.Local.Overrides > 0 {", "if false {",
		"a role commits at a lower level", "replication", "TestDecideActive",
	},
	{
		"the settings of commits", "replication/rules.go",
		"if bad := differences(s.Local.Settings, want); bad != \"\" {", "if false {\n\t\tbad := \"\"",
		"COMMIT waits for less, or for nobody", "replication", "TestDecideActive",
	},
	{
		"the passive's settings", "replication/rules.go",
		"if bad := differences(s.Peer.Server.Settings, want); bad != \"\" {", "if false {\n\t\tbad := \"\"",
		"a passive that does not fsync counts", "replication", "TestDecideActive",
	},
	{
		"replay that is paused", "replication/rules.go",
		"if s.Peer.Server.ReplayPaused {", "if false {",
		"the gate is open over a passive that shows nothing new", "replication", "TestDecideActive",
	},
	{
		"protocols", "replication/rules.go",
		"case s.Peer.Protocol != Protocol:", "case false:",
		"two daemons misunderstand each other", "replication", "TestDecideActive",
	},
	{
		"majors", "replication/rules.go",
		"case s.Local.Version/10000 != s.Peer.Server.Version/10000:", "case false:",
		"two majors of PostgreSQL replicate", "replication", "TestDecideActive",
	},
	{
		"clocks", "replication/rules.go",
		"case s.Skew.Abs() > p.SkewLimit:", "case false:",
		"certificates and dates of the two hosts disagree", "replication", "TestDecideActive",
	},
	{
		"a root key that does not open", "replication/rules.go",
		"case s.RootProofError != \"\":", "case false:",
		"a key is made that one host can not open", "replication", "TestDecideActive",
	},
	{
		"no proof yet", "replication/rules.go",
		"case s.RootProofAge == Never:", "case false:",
		"the operator is told of a mismatch that nobody has seen", "replication", "TestDecideActive",
	},
	{
		"an old proof", "replication/rules.go",
		"case s.RootProofAge > p.RootProofLimit:", "case false:",
		"a key is made after one host has lost its root key", "replication", "TestDecideActive",
	},
	{
		"this host's disk", "replication/rules.go",
		"case s.DiskFree < p.DiskFloor:", "case false:",
		"the disk fills", "replication", "TestDecideActive",
	},
	{
		"the passive's disk", "replication/rules.go",
		"case s.Peer.DiskFree < p.DiskFloor:", "case false:",
		"the passive's disk fills", "replication", "TestDecideActive",
	},
	{
		"this host's state file", "replication/rules.go",
		"case s.StateTrouble != \"\":", "case false:",
		"writes are taken that can not be acknowledged", "replication", "TestDecideActive",
	},
	{
		"the passive's state file", "replication/rules.go",
		"case s.Peer.StateTrouble != \"\":", "case false:",
		"writes are taken that the passive can not prove", "replication", "TestDecideActive",
	},
	{
		"a slot that keeps its WAL", "replication/rules.go",
		"case s.Slot.WALStatus != \"reserved\" && s.Slot.WALStatus != \"extended\":", "case false:",
		"the WAL that the passive needs is given up", "replication", "TestDecideActive",
	},
	{
		"a refusal is that of now", "replication/report.go",
		"said.Reason != cmp.Or(d.Reason, Starting) {", "said.Reason == cmp.Or(d.Reason, Starting) {",
		"just after the active is gone a write at the passive is refused for another reason", "replication", "TestClosed",
	},
}
