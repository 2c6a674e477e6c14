package faults

import (
	"time"

	"keytrustee/replication/pairtest"
)

// kind is one way to hurt a pair.
type kind struct {
	name        string
	weight      int                 // how often in a round
	every       int                 // or, instead of a weight: every so many faults
	alone       bool                // nothing else happens meanwhile
	on          string              // whom it is about, if that is not drawn
	what        map[string][]string // what of the active, of the passive
	least, most time.Duration       // how long it lasts
	begin       func(*nemesis, Step) effect
}

// effect is a fault that has begun.
type effect struct {
	touched []*pairtest.Node // may not answer, or not in time, until all is well
	since   time.Duration    // when they may have begun not to; zero: when it had begun
	severed bool             // nothing can be confirmed between the hosts any more
	lift    func()           // ends it; nil: what was killed is started when all faults are lifted
	then    func()           // is done when writes are open again; may be nil
}

// either makes a component or a process one that both hosts have.
func either(what ...string) map[string][]string {
	return map[string][]string{"active": what, "passive": what}
}

// kinds are all of them.
var kinds = []kind{
	{name: "kill-daemon", weight: 2, least: 200 * time.Millisecond, most: 3 * time.Second, begin: kill(pairtest.Keytrusteed)},
	{name: "kill-postgres", weight: 1, least: 200 * time.Millisecond, most: 3 * time.Second, begin: kill(pairtest.PostgreSQL)},
	{name: "kill-host", weight: 2, least: 200 * time.Millisecond, most: 4 * time.Second, begin: kill()},
	{name: "kill-both", weight: 1, on: "both", least: 200 * time.Millisecond, most: time.Second, begin: killBoth},
	{name: "kill-process", weight: 1, alone: true, least: 200 * time.Millisecond, most: 2 * time.Second, begin: killProcess,
		what: map[string][]string{"active": {pairtest.Walsender, aBackend}, "passive": {pairtest.Walreceiver, pairtest.Replay, aBackend}}},
	{name: "freeze-host", weight: 2, least: 100 * time.Millisecond, most: 10 * time.Second, begin: freeze},
	{name: "freeze-component", weight: 2, alone: true, least: 100 * time.Millisecond, most: 10 * time.Second, begin: freeze,
		what: either(pairtest.Keytrusteed, pairtest.PostgreSQL)},
	{name: "freeze-process", weight: 2, alone: true, least: 100 * time.Millisecond, most: 10 * time.Second, begin: freeze,
		what: map[string][]string{"active": {pairtest.Walsender, pairtest.Postmaster}, "passive": {pairtest.Walreceiver, pairtest.Replay, pairtest.Postmaster}}},
	{name: "restart", weight: 1, alone: true, least: 10 * time.Millisecond, most: time.Second, begin: restart,
		what: either(pairtest.Keytrusteed, pairtest.PostgreSQL)},
	{name: "cut", weight: 1, on: "both", least: 300 * time.Millisecond, most: 5 * time.Second, begin: cut},
	{name: "cut-one-way", weight: 2, least: 300 * time.Millisecond, most: 5 * time.Second, begin: cutFrom},
	{name: "reject", weight: 1, on: "both", least: 300 * time.Millisecond, most: 5 * time.Second, begin: reject},
	{name: "cut-clients", weight: 1, least: 300 * time.Millisecond, most: 3 * time.Second, begin: cutClients},
	{name: "power-loss", weight: 2, least: 200 * time.Millisecond, most: 3 * time.Second, begin: losePower},
	{name: "disk-full", weight: 1, alone: true, least: 500 * time.Millisecond, most: 4 * time.Second, begin: fillDisk},
	{name: "clock", weight: 1, least: 500 * time.Millisecond, most: 3 * time.Second, begin: setClock, what: either(clocks...)},
	{name: "hold", weight: 1, alone: true, least: 200 * time.Millisecond, most: 2 * time.Second, begin: hold},
	{name: "promote", weight: 1, alone: true, least: 200 * time.Millisecond, most: 2 * time.Second, begin: promote},
	{name: "promote-wrongly", weight: 1, alone: true, least: time.Second, most: 4 * time.Second, begin: promoteWrongly},
	{name: "remove", weight: 1, alone: true, on: "passive", least: 200 * time.Millisecond, most: 2 * time.Second, begin: remove},
	{name: "reclone", weight: 1, alone: true, on: "passive", least: 200 * time.Millisecond, most: time.Second, begin: reclone},
	{name: "switchover", weight: 1, alone: true, least: 100 * time.Millisecond, most: 500 * time.Millisecond, begin: switchover},
	{name: "switchover-hurt", weight: 1, alone: true, least: 10 * time.Millisecond, most: 2 * time.Second, begin: switchoverHurt,
		what: either("abort", "kill", pairtest.Keytrusteed, pairtest.PostgreSQL)},
	{name: "destroy", every: 9, alone: true, least: 200 * time.Millisecond, most: 2 * time.Second, begin: destroy,
		what: map[string][]string{"active": {byOneCommand, promotedFirst}, "passive": {byOneCommand, removedFirst}}},
	{name: "freeze-both", every: 8, alone: true, on: "both", begin: lookAtBoth},
}

// aBackend stands for one of PostgreSQL's processes that serve the host's own daemon.
const aBackend = "backend"

// seconds are the kinds that may begin while another one lasts, whatever that has done.
var seconds []kind

func init() {
	for _, k := range kinds {
		switch k.name {
		case "kill-daemon", "kill-postgres", "kill-host", "freeze-host", "cut", "cut-one-way", "reject":
			seconds = append(seconds, k)
		}
	}
}

// kill ends the component, or all of the host, with SIGKILL.
func kill(component ...string) func(*nemesis, Step) effect {
	return func(m *nemesis, s Step) effect {
		n := m.node(s.On)
		n.Kill(m.t, component...)
		return effect{touched: []*pairtest.Node{n}, severed: true}
	}
}

func killBoth(m *nemesis, _ Step) effect {
	for _, n := range m.pair.Nodes {
		n.Kill(m.t)
	}
	return effect{touched: m.pair.Nodes, severed: true}
}

// killProcess ends one process of PostgreSQL with SIGKILL. PostgreSQL ends with it, as it can not trust its memory any more.
func killProcess(m *nemesis, s Step) effect {
	n := m.node(s.On)
	if s.What == aBackend {
		s.What = m.backend(n)
	}
	n.Kill(m.t, s.What)
	return effect{touched: []*pairtest.Node{n}}
}

// freeze stops the process, the component or all of the host (SIGSTOP). With a postmaster that stands still its servers go on.
func freeze(m *nemesis, s Step) effect {
	n := m.node(s.On)
	var what []string
	if s.What != "" {
		what = append(what, s.What)
	}
	n.Freeze(m.t, what...)
	return effect{touched: []*pairtest.Node{n}, severed: s.What != pairtest.Postmaster, lift: func() { n.Thaw(m.t, what...) }}
}

// restart ends the component as its service would.
func restart(m *nemesis, s Step) effect {
	n := m.node(s.On)
	n.Stop(m.t, s.What)
	return effect{touched: []*pairtest.Node{n}, severed: true}
}

func cut(m *nemesis, _ Step) effect {
	m.pair.Cut(m.t)
	return effect{severed: true, lift: func() { m.pair.Heal(m.t) }}
}

func cutFrom(m *nemesis, s Step) effect {
	n := m.node(s.On)
	n.CutTo(m.t, n.Other())
	return effect{severed: true, lift: func() { m.pair.Heal(m.t) }}
}

func reject(m *nemesis, _ Step) effect {
	m.pair.Reject(m.t)
	return effect{severed: true, lift: func() { m.pair.Heal(m.t) }}
}

func cutClients(m *nemesis, s Step) effect {
	n := m.node(s.On)
	n.CutClients(m.t)
	return effect{touched: []*pairtest.Node{n}, lift: func() { m.pair.Heal(m.t) }}
}
