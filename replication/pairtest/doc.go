// Package pairtest gives a test a real pair: what `ktadmin dev up` starts, with ways to hurt it.
//
//	pair.go     New, and the pair as pair.json describes it
//	faults.go   Start, Stop, Kill; Freeze and Thaw
//	hold.go     HoldAnswers: both hosts have a write, and nobody is told
//	process.go  the processes of a host
//	client.go   requests to one host, and what it answers
//	status.go   what `ktadmin status` and the log of a host say
//	sql.go      the administrator's connection to a host's database
//
// Keys are never removed between tests: each test names its own with NewKey.
package pairtest
