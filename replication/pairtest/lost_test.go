package pairtest_test

import (
	"net/http"
	"os"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

func activeAlone(t *testing.T, p *pairtest.Pair) {
	type key struct{ name, material string }
	var keys []key
	for range 5 {
		name, material := create(t, p.Active)
		keys = append(keys, key{name, material})
	}
	// The passive's PostgreSQL stands still, so this one stays on the active alone.
	p.Passive.Freeze(t, pairtest.PostgreSQL)
	lonely := pairtest.NewKey()
	if a := p.Active.Create(t, lonely); a.Status == http.StatusCreated {
		t.Fatalf("acknowledged with the passive's PostgreSQL frozen: %v", a)
	} else {
		t.Logf("a create that only the active may have: %v", a)
	}
	p.Passive.Kill(t)
	p.Active.Kill(t)
	p.Active.Start(t)
	pairtest.Await(t, 10*time.Second, "the active serves reads alone", func() bool {
		a, _ := p.Active.Version(t, keys[0].name, 0)
		return a.Status == http.StatusOK
	})
	for _, k := range keys {
		if served(t, p.Active, k.name) != k.material {
			t.Errorf("%s has other material after the restart", k.name)
		}
	}
	absent(t, p.Active, lonely)
	refusedFast(t, p.Active, "passive_unreachable", "starting")
}

func coldPassive(t *testing.T, p *pairtest.Pair) {
	name, material := create(t, p.Active)
	encrypted := everyRead(t, p.Active, name, nil)
	p.Active.Kill(t)
	if served(t, p.Passive, name) != material {
		t.Error("the passive serves other material")
	}
	everyRead(t, p.Passive, name, encrypted)
	p.Passive.Kill(t)
	p.Passive.Start(t)
	servedCold(t, p.Passive, name, material)
	everyRead(t, p.Passive, name, encrypted)
	pairtest.Await(t, 5*time.Second, "the passive says that the active is gone", func() bool {
		return p.Passive.Create(t, pairtest.NewKey()).Reason == "active_unreachable"
	})
	refusedFast(t, p.Passive, "active_unreachable")
}

// servedCold checks that a host that was just started serves the key and, until it does, never says that there is none.
func servedCold(t *testing.T, n *pairtest.Node, name, material string) {
	t.Helper()
	pairtest.Await(t, 10*time.Second, n.Name+" serves reads", func() bool {
		a, got := n.Version(t, name, 0)
		switch {
		case a.Status == http.StatusOK && got != material:
			t.Fatalf("%s serves other material, or none: %s", n.Name, a)
		case a.Status != http.StatusOK && a.Status != http.StatusServiceUnavailable:
			t.Fatalf("%s, started cold: %v", n.Name, a)
		case a.Status == http.StatusServiceUnavailable && a.Class != "org.apache.hadoop.ipc.StandbyException":
			t.Fatalf("%s, started cold, ends the call: %v", n.Name, a)
		}
		return a.Status == http.StatusOK
	})
}

func ownRootKey(t *testing.T, p *pairtest.Pair) {
	name, material := create(t, p.Active)
	p.Active.Kill(t)
	away := p.Active.Confdir + ".away"
	if err := os.Rename(p.Active.Confdir, away); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := os.Rename(away, p.Active.Confdir); err != nil {
			t.Fatal(err)
		}
	}()
	p.Passive.Kill(t)
	p.Passive.Start(t)
	servedCold(t, p.Passive, name, material)
}
