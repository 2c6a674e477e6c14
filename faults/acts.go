package faults

import (
	"strings"
	"time"

	"keytrustee/replication/pairtest"
)

// Of the kinds in kinds.go, those that an operator does.

// hold keeps writes from beginning, by a command at either host, and ends it by one.
func hold(m *nemesis, s Step) effect {
	m.must(m.node(s.On), "cluster", "hold", "--reason", "the random test", "--for", "10m")
	return effect{severed: true, lift: func() { m.must(m.node(s.On), "cluster", "release") }}
}

// promote is what an operator does whose active is lost: it is switched off, and comes back when the passive is the active. It serves
// nothing, and becomes the passive.
func promote(m *nemesis, _ Step) effect {
	old := m.pair.Active
	old.Kill(m.t)
	m.promoted(old)
	return effect{touched: []*pairtest.Node{old}, severed: true, lift: func() { m.overtaken(old) }}
}

// promoteWrongly is what an operator does who is wrong: the old active lives, cut off from the passive but not from clients. Two hosts are
// the active then. When they meet, the old one fences itself.
func promoteWrongly(m *nemesis, _ Step) effect {
	old := m.pair.Active
	m.pair.Cut(m.t)
	m.promoted(old)
	return effect{severed: true, lift: func() {
		m.pair.Heal(m.t)
		m.overtaken(old)
	}}
}

// remove gives up a passive that is gone, and comes back.
func remove(m *nemesis, _ Step) effect {
	gone := m.pair.Passive
	gone.Kill(m.t)
	m.givenUp(gone)
	return effect{touched: []*pairtest.Node{gone}, severed: true, lift: func() { m.overtaken(gone) }}
}

// reclone lets the passive join anew, though nothing is wrong with it.
func reclone(m *nemesis, _ Step) effect {
	n := m.pair.Passive
	n.Stop(m.t)
	return effect{touched: []*pairtest.Node{n}, severed: true, lift: func() {
		n.Reclone(m.t)
	}}
}

// switchover lets the hosts change their duties.
func switchover(m *nemesis, s Step) effect {
	begun := m.record.Now()
	m.until(m.node(s.On), "cluster", "switchover", "--check")
	m.must(m.node(s.On), "cluster", "switchover")
	return effect{since: begun, touched: m.pair.Nodes, lift: m.settled}
}

// switchoverHurt begins a switchover and does something to it on its way, wherever it has got to: it is taken back, or a host dies.
func switchoverHurt(m *nemesis, s Step) effect {
	begun := m.record.Now()
	m.until(m.node(s.On), "cluster", "switchover", "--check")
	n := m.node(s.On)
	n.Ktadmin(m.t, "cluster", "switchover", "--timeout", "1ms") // it goes on
	m.rest(s.For)
	switch s.What {
	case "abort":
		n.Ktadmin(m.t, "cluster", "switchover", "--abort") // which may come too late
	case "kill":
		n.Kill(m.t)
	default:
		n.Kill(m.t, s.What)
	}
	return effect{since: begun, touched: m.pair.Nodes, lift: func() {
		for _, n := range m.pair.Nodes {
			n.Begin(m.t)
		}
		m.settled()
	}}
}

// settled returns when no operation is under way at either host.
func (m *nemesis) settled() {
	m.t.Helper()
	pairtest.Await(m.t, time.Minute, "the operation has ended", func() bool {
		return stateOf(m.pair.Nodes[0].Home).Operation == nil && stateOf(m.pair.Nodes[1].Home).Operation == nil
	})
}

// promoted makes the other host the active, once it says that this can be done.
func (m *nemesis) promoted(old *pairtest.Node) {
	m.t.Helper()
	m.until(old.Other(), "cluster", "promote", "--fenced", old.Name)
	m.must(old.Other(), "cluster", "promote", "--fenced", old.Name, "--i-confirm", old.Name+" is powered off")
	m.pair.Roles(m.t)
}

func (m *nemesis) givenUp(gone *pairtest.Node) {
	m.t.Helper()
	m.until(gone.Other(), "cluster", "remove", gone.Name)
	m.must(gone.Other(), "cluster", "remove", gone.Name, "--i-confirm", gone.Name+" was not promoted")
}

// overtaken starts a host that is the peer no longer, waits until it knows and has fenced itself, and makes it the passive of the other one.
func (m *nemesis) overtaken(n *pairtest.Node) {
	m.t.Helper()
	begun := time.Now()
	n.Begin(m.t)
	pairtest.Await(m.t, 20*time.Second, n.Name+" fences itself", func() bool {
		return stateOf(n.Home).Fenced != nil
	})
	m.t.Logf("%s has fenced itself after %v", n.Name, time.Since(begun).Round(time.Millisecond))
	n.Reclone(m.t)
}

// bringBack makes a host whose disk was lost one of the pair again: the active is restored from its passive or replaced by it, the passive
// removed first or not.
func (m *nemesis) bringBack(n *pairtest.Node, how string) {
	m.t.Helper()
	switch how {
	case promotedFirst:
		m.promoted(n)
	case removedFirst:
		m.givenUp(n)
	}
	n.Rebuild(m.t)
}

// How a host comes back whose disk was lost, besides by one command alone.
const (
	promotedFirst = "and the passive is promoted"
	removedFirst  = "and the passive is removed"
	byOneCommand  = "and it is rebuilt"
)

// must runs ktadmin on the node, which may not fail.
func (m *nemesis) must(n *pairtest.Node, args ...string) {
	m.t.Helper()
	out, errs, status := n.Ktadmin(m.t, args...)
	if status != 0 {
		m.t.Fatalf("ktadmin %s on %s: %d\n%s%s", strings.Join(args, " "), n.Name, status, out, errs)
	}
}

// until runs ktadmin on the node until it succeeds.
func (m *nemesis) until(n *pairtest.Node, args ...string) {
	m.t.Helper()
	var said string
	defer func() {
		if m.t.Failed() {
			m.t.Logf("ktadmin %s on %s said last: %s", strings.Join(args, " "), n.Name, said)
		}
	}()
	pairtest.Await(m.t, 20*time.Second, "ktadmin "+strings.Join(args, " "), func() bool {
		out, errs, status := n.Ktadmin(m.t, args...)
		said = out + errs
		return status == 0
	})
}
