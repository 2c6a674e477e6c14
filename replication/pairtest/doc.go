// Package pairtest gives a test a real pair, with ways to hurt it: New is what `ktadmin dev up` starts, NewHosts two hosts that are set up
// by the commands that an operator types, each with its own network, disk and services. A test sees the same Pair and Nodes.
//
//	pair.go       Pair and Node
//	dev.go        New
//	hosts.go      NewHosts
//	life.go       Life: a pair that outlives a test
//	rebuild.go    Join, Rebuild: an empty host becomes one of the pair
//	services.go   start, stop and kill on such hosts
//	build.go      the programs that are tested
//	faults.go     Start, Stop, Kill; Freeze and Thaw; Signal
//	stopped.go    KtadminAt: a command that stands still at a point, for whatever is to befall it there
//	network.go    Cut, CutTo, Reject, CutClients, Delay; Heal; ForgetNames
//	disk.go       FillDisk, Destroy, PowerOff, ForgetUnsynced, ForgetfulAt
//	corrupt.go    Corrupt
//	forgetful.go  the program that serves a disk which can forget
//	clear.go      WatchFor, WrittenInClear, LiesInClear: a secret that is on a disk; watch.go: how it is known
//	clock.go      SetClock
//	hold.go       HoldAnswers: both hosts have a write, and nobody is told
//	process.go    the processes of a host
//	client.go     requests to one host, and what it answers
//	must.go       what a test expects of a host at once
//	gate.go       how long the gate takes to shut and to open
//	status.go     what `ktadmin status` and the log of a host say
//	roles.go      who is the active
//	runbook.go    OpenPage, OpenSection: the commands of a page, to be typed
//	contents.go   how far a database is; SameContents; Settle
//	sql.go        the administrator's connection to a host's database
//
// Keys are never removed between tests: each test names its own with NewKey.
package pairtest
