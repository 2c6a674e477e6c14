package faults

import (
	"time"

	"keytrustee/replication/pairtest"
)

// Of the kinds in kinds.go, those that befall a machine: its power, its disk, its clock.

// losePower ends the host as a power loss does: no process says goodbye, and what its disk was not told to keep is gone.
func losePower(m *nemesis, s Step) effect {
	n := m.node(s.On)
	n.PowerOff(m.t)
	n.ForgetUnsynced(m.t)
	return effect{touched: []*pairtest.Node{n}, severed: true, lift: func() { n.PowerOn(m.t) }}
}

// fillDisk leaves no byte free on the host. It may go on, or not.
func fillDisk(m *nemesis, s Step) effect {
	n := m.node(s.On)
	n.FillDisk(m.t)
	return effect{touched: []*pairtest.Node{n}, lift: func() { n.FreeDisk(m.t) }}
}

// clocks are how wrong a clock may get: by what nobody minds, and by what shuts the gate.
var clocks = []string{"-1h", "-20s", "-1500ms", "1500ms", "20s", "1h"}

// setClock makes the clock of the host's daemon jump, and jump back.
func setClock(m *nemesis, s Step) effect {
	n := m.node(s.On)
	wrong, err := time.ParseDuration(s.What)
	if err != nil {
		panic(err) // it is one of clocks
	}
	n.SetClock(m.t, wrong)
	return effect{lift: func() { n.SetClock(m.t, 0) }}
}

// destroy loses the disk of one host, with all that was on it. An operator brings the pair back from the survivor, which has to have all that
// either host ever served.
func destroy(m *nemesis, s Step) effect {
	n := m.node(s.On)
	n.Destroy(m.t)
	m.record.Event(Event{Kind: Destroyed, Host: n.Name, At: m.record.Now()})
	survivor(m.t, n.Other(), m.record)
	return effect{touched: []*pairtest.Node{n}, severed: true, lift: func() { m.bringBack(n, s.What) }}
}
