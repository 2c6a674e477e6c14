package pairtest

import (
	"testing"
	"time"

	"keytrustee/internal/machine"
)

// Cut lets nothing pass between the two hosts any more: what is sent vanishes. Clients reach both of them. Heal ends it, the test's end at
// the latest.
func (p *Pair) Cut(t testing.TB) {
	t.Helper()
	for _, n := range p.Nodes {
		n.CutTo(t, n.Other())
	}
}

// CutTo lets nothing pass from the node to the other one any more; what the other sends still arrives.
func (n *Node) CutTo(t testing.TB, other *Node) {
	t.Helper()
	h := n.pair.healLater(t)
	h.site.Cut(t, h.of[n], h.of[other])
	t.Logf("cut: from %s to %s", n.Name, other.Name)
}

// Reject lets each host answer the other one's packets with a reset: what stands between them ends, what is new is refused at once.
func (p *Pair) Reject(t testing.TB) {
	t.Helper()
	h := p.healLater(t)
	for _, n := range p.Nodes {
		h.site.Reject(t, h.of[n], h.of[n.Other()])
	}
	t.Log("rejected: both hosts answer each other with a reset")
}

// CutClients lets nothing pass between the node and all clients. The two hosts reach each other.
func (n *Node) CutClients(t testing.TB) {
	t.Helper()
	h := n.pair.healLater(t)
	h.site.Cut(t, machine.Clients, h.of[n])
	h.site.Cut(t, h.of[n], machine.Clients)
	t.Logf("cut: between %s and clients", n.Name)
}

// Heal makes the network whole again.
func (p *Pair) Heal(t testing.TB) {
	t.Helper()
	h := p.hosts(t)
	h.site.MendAll(t)
	h.site.Delay(t, h.of[p.Nodes[1]], 0)
	t.Log("healed")
}

func (p *Pair) healLater(t testing.TB) *hosts {
	t.Helper()
	t.Cleanup(func() { p.hosts(t).site.MendAll(t) })
	return p.hosts(t)
}

// JavaAtClients puts a java on the PATH, until the test ends, whose network is the clients', and which knows the nodes' names.
func (p *Pair) JavaAtClients(t testing.TB) {
	t.Helper()
	p.hosts(t).site.JavaAtClients(t)
}

// Received is how many bytes have come from the other host to the node.
func (n *Node) Received(t testing.TB) uint64 {
	t.Helper()
	h := n.hosts(t)
	return h.site.Passed(t, h.of[n.Other()], h.of[n])
}

// ForgetNames lets the node know no host by its name any more: its files have none, and the name server that it is told to ask does not
// answer. RememberNames ends it, the test's end at the latest.
func (n *Node) ForgetNames(t testing.TB) {
	t.Helper()
	h := n.hosts(t)
	t.Cleanup(func() { h.of[n].RememberNames(t) })
	h.of[n].ForgetNames(t)
	t.Logf("forgotten on %s: all names", n.Name)
}

// RememberNames ends ForgetNames.
func (n *Node) RememberNames(t testing.TB) {
	t.Helper()
	n.hosts(t).of[n].RememberNames(t)
}

// Delay lets what the hosts send each other arrive that much later, each way. 0, Heal or the test's end ends it.
func (p *Pair) Delay(t testing.TB, delay time.Duration) {
	t.Helper()
	h := p.hosts(t)
	t.Cleanup(func() { h.site.Delay(t, h.of[p.Nodes[1]], 0) })
	h.site.Delay(t, h.of[p.Nodes[1]], delay)
	t.Logf("delayed: what the hosts send each other, by %v", delay)
}
