// Package replication is the pair: it knows PostgreSQL, and knows no keys. It says when a write may begin (Gate), when a
// write is done and which rows may be shown (Horizon), and it lets two servers talk only after their histories have been
// compared byte for byte (start.go). Monitor runs all of it on one host; replication/peer carries what two Monitors say to
// each other. Why it is so: docs/protocol.md, sections 2 to 8.
//
// # Words
//
// A node has a Duty (active, passive: what its daemon does) and its PostgreSQL a Role (primary, standby: what
// pg_is_in_recovery says). A World is what positions may be compared in: system identifier, timeline, epoch, and the
// incarnation of the passive's data. A start is one life of a postmaster, named by the kernel (startid.go).
//
// # States of a node, the arrows between them, and who draws them
//
//	(nothing)  --> active     ktadmin db --bootstrap writes the state file
//	(nothing)  --> passive    ktadmin init-slave writes the state file, LastConfirmed zero: joining
//	joining    --> passive    Monitor on the passive, when the active says that it has all that was ever acknowledged
//	no passive --> joining    Monitor.Admit on the active: State.Pending
//	joining    --> passive    Monitor on the active, when the database of the verified copy answers: its epoch takes effect
//	async      --> sync       Monitor.EnableSync on the active, by the operator's command
//	passive    --> active     Monitor, by the operator's command: promotion or switchover, in steps (fork.go); the daemon starts anew
//	active     --> passive    Monitor, in a switchover (yield.go), once the passive takes over; the daemon starts anew
//	(nothing)  --> active     ktadmin restore --from-survivor writes the state file, in a new epoch; it shows nothing before its passive has taken it in,
//	                          or an operator has said that this one is lost
//	(nothing)  --> active     ktadmin restore --from-backup writes the state file, in a new epoch, where both hosts are lost: no passive, as after a promotion
//	any        --> fenced     Monitor, at once and durably, when it meets a higher or conflicting epoch
//	fenced     --> any        an operator's command only
//
// Beside the state file every start of either PostgreSQL has a standing, found anew and never inherited:
//
//	started    --> compared   the bytes of the passive's WAL are the active's (start.go): the replication line opens
//	started    --> refused    history_differs, passive_ahead, needs_clone: nothing opens, nothing is overwritten
//	started    --> fenced     recovery of the active ended below what was confirmed: an older copy of the data
//	started    --> ready      the passive has replayed to the end of its own WAL: it may be read
//
// # Order
//
// Closing: gate first, then anything else. Opening: proof first, gate last. What a promise depends on is in the state file,
// fsynced, before the promise is made.
//
//	role.go epoch.go reason.go       the words
//	console.go                       how root of a host gives its PostgreSQL a statement, in words
//	state.go pin.go                  the state file; the key by which the peer is recognised beside its name
//	operation.go step.go operate.go  what an operator has set going; its steps, and its end; what an operator may say
//	hold.go remove.go                writes refused for a while; a passive given up
//	promote.go fork.go               a passive becomes the active: alone; the steps that a switchover shares
//	switchover.go precheck.go        the duty of the active goes to the passive and back: the steps; what is looked at before
//	yield.go takeover.go reclaim.go  the half of the active; the half of the passive, and what it is told; a passive lost on the way
//	status.go decide.go rules.go     facts of one instant; what follows from them (pure)
//	gate.go horizon.go               what the rest of the house asks
//	monitor.go                       Monitor, Run
//	watch.go observe.go session.go   asks this server and the peer, again and again
//	heartbeat.go answer.go           what the two daemons say to each other, and the answering half
//	facts.go apply.go report.go      what was gathered; gate and horizon set by it; told to people
//	notice.go                        changes that are kept for people
//	canary.go news.go                confirms snapshots; finds in them changes that nobody was told of
//	prove.go                         lets the peer prove rows and root keys
//	act.go start.go follow.go        the gated start, on the active and on the passive
//	startid.go clock.go              one life of a postmaster; a clock that never stands still
//	join.go sync.go slot.go          admission of a passive, synchronous replication, replication slots
//	whole.go                         whether the passive may have what this active lacks: then it is not given up
//	survivor.go restored.go          a destroyed active comes back out of its passive
//	control.go                       the control tables
package replication
