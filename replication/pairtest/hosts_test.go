package pairtest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

// TestHosts: what NewHosts gives a test does what it says, to the host that is named and to no other. Each leaves the pair confirmed.
func TestHosts(t *testing.T) {
	p := pairtest.NewHosts(t, pairtest.Options{})
	for _, test := range []struct {
		name string
		run  func(*testing.T, *pairtest.Pair)
	}{
		{"a key", hostsKey},
		{"both ways are cut", cutBothWays},
		{"one way is cut", cutOneWay},
		{"resets", rejected},
		{"everything is late", late},
		{"clients are cut off", clientsCutOff},
		{"only replay stands still", replayFrozen},
		{"a backend is killed", backendKilled},
		{"a disk is full", diskFull},
		{"names are forgotten", namesForgotten},
		{"the power is lost", powerLost},
		{"the duties change", dutiesChange},
		{"the power is lost while duties change", powerLostInSwitchover},
		{"a host is destroyed", destroyed},
	} {
		if !t.Run(test.name, func(t *testing.T) { test.run(t, p) }) {
			return
		}
		p.Up(t)
	}
}

// hostsKey: what one host takes, both serve, and each database says what it is.
func hostsKey(t *testing.T, p *pairtest.Pair) {
	name, material := p.Passive.MustCreate(t)
	if p.Active.MustServe(t, name) != material {
		t.Error("the hosts serve two materials")
	}
	p.SameContents(t)
	for _, n := range p.Nodes {
		var standby bool
		var address *string
		err := n.SQL(t).QueryRow(t.Context(), "SELECT pg_is_in_recovery(), (SELECT host(client_addr) FROM pg_stat_replication)").Scan(&standby, &address)
		if err != nil || standby != (n == p.Passive) || (address != nil) != (n == p.Active) {
			t.Errorf("%s: standby %v, %v, %v", n.Name, standby, address, err)
		}
		if duty := n.Duty(t); (duty == "active") != (n == p.Active) {
			t.Errorf("%s is %s", n.Name, duty)
		}
	}
}

// open waits until a write succeeds again.
func open(t *testing.T, p *pairtest.Pair) {
	t.Helper()
	begun := time.Now()
	pairtest.Await(t, 10*time.Second, "writes are open", func() bool { return p.Active.Writable(t) })
	t.Logf("open after %v", time.Since(begun).Round(time.Millisecond))
	p.Active.MustCreate(t)
}

func cutBothWays(t *testing.T, p *pairtest.Pair) {
	name, material := p.Active.MustCreate(t)
	p.Cut(t)
	p.AwaitShut(t, time.Now(), silent...)
	p.Active.MustRefuse(t, silent...)
	for _, n := range p.Nodes {
		if n.MustServe(t, name) != material {
			t.Errorf("%s serves other material", n.Name)
		}
	}
	p.Heal(t)
	p.AwaitOpen(t, time.Now())
}

// cutOneWay: what passes between the hosts, by the network's count, shows that one way is cut and the other one is not.
func cutOneWay(t *testing.T, p *pairtest.Pair) {
	for _, n := range p.Nodes {
		n.CutTo(t, n.Other())
		p.AwaitShut(t, time.Now(), silent...)
		here, there := n.Received(t), n.Other().Received(t)
		pairtest.Await(t, 10*time.Second, "the other host still sends", func() bool { return n.Received(t) > here })
		if now := n.Other().Received(t); now != there {
			t.Errorf("%d bytes have arrived at %s, which is cut off", now-there, n.Other().Name)
		}
		if p.Active.Writable(t) {
			t.Error("the gate is open, and the hosts do not hear each other")
		}
		p.Heal(t)
		p.AwaitOpen(t, time.Now())
	}
}

func rejected(t *testing.T, p *pairtest.Pair) {
	p.Reject(t)
	p.AwaitShut(t, time.Now(), silent...)
	p.Active.MustRefuse(t, silent...)
	p.Heal(t)
	p.AwaitOpen(t, time.Now())
}

func clientsCutOff(t *testing.T, p *pairtest.Pair) {
	name, material := p.Active.MustCreate(t)
	p.Active.CutClients(t)
	_, err := p.Dial(t.Context(), "tcp", strings.TrimPrefix(p.Passive.URL, "https://"))
	if err != nil {
		t.Error(err)
	}
	if p.Passive.MustServe(t, name) != material {
		t.Error("other material")
	}
	if a := p.Passive.Create(t, pairtest.NewKey()); a.Status != http.StatusCreated {
		t.Errorf("a write through the passive, which reaches the active: %v", a)
	}
	p.Heal(t)
	p.AwaitOpen(t, time.Now())
}

// late: a write takes longer by what a round trip does, and is taken; a read of a client waits for nobody.
func late(t *testing.T, p *pairtest.Pair) {
	const delay = 50 * time.Millisecond
	p.Delay(t, delay)
	pairtest.Await(t, 5*time.Second, "the gate is open", func() bool { return p.Active.Writable(t) })
	name := pairtest.NewKey()
	a := p.Active.Create(t, name)
	if a.Status != http.StatusCreated || a.Took < 2*delay {
		t.Errorf("a write with a round trip of %v: %v", 2*delay, a)
	}
	if a, _ := p.Active.Version(t, name, 0); a.Status != http.StatusOK {
		t.Errorf("its read: %v", a)
	}
	p.Delay(t, 0)
	open(t, p)
}
