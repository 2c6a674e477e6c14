// Package faults is the random fault test: clients work on a real pair while it is hurt in random ways, everything that they were told is
// recorded, and checkers hold the record to what is promised. docs/testing.md says how to run it, and what each checker means.
//
//	op.go event.go history.go   what is recorded: deliveries, events; to a file, and back
//	client.go keys.go           how a client asks, and the keys that all of them work on
//	run.go work.go              a run: clients at work, those who look on, and the nemesis; what to say of it
//	observe.go canary.go        what a host says of itself; whether this machine was too crowded to judge
//	census.go                   what hosts and their disks hold
//	plan.go nemesis.go          what is drawn from the seed, and how it is done
//	kinds.go hosts.go acts.go   the faults: of processes and the network; of machines; what operators do
//	check.go                    the checkers; each is a pure function of the history
//	disks.go values.go          what disks hold; what versions and requests may show
//	gate.go reads.go bounds.go  acknowledged alone, or in two epochs; gone again; late
//	logical.go register.go      deliveries of one write; a key as a sequential object
//	linear.go                   the search for an order that explains every answer
//	tally.go                    what a run did, and whether it counts
//	shrink.go                   the shortest history that shows a violation
package faults
