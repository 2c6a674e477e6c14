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
		name, material := p.Active.MustCreate(t)
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
		if p.Active.MustServe(t, k.name) != k.material {
			t.Errorf("%s has other material after the restart", k.name)
		}
	}
	p.Active.MustNotServe(t, lonely)
	p.Active.MustRefuse(t, "passive_unreachable", "starting")
}

func coldPassive(t *testing.T, p *pairtest.Pair) {
	name, material := p.Active.MustCreate(t)
	encrypted := everyRead(t, p.Active, name, nil)
	p.Active.Kill(t)
	if p.Passive.MustServe(t, name) != material {
		t.Error("the passive serves other material")
	}
	everyRead(t, p.Passive, name, encrypted)
	p.Passive.Kill(t)
	p.Passive.Start(t)
	p.Passive.AwaitServed(t, name, material)
	everyRead(t, p.Passive, name, encrypted)
	pairtest.Await(t, 5*time.Second, "the passive says that the active is gone", func() bool {
		return p.Passive.Create(t, pairtest.NewKey()).Reason == "active_unreachable"
	})
	p.Passive.MustRefuse(t, "active_unreachable")
}

func ownRootKey(t *testing.T, p *pairtest.Pair) {
	name, material := p.Active.MustCreate(t)
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
	p.Passive.AwaitServed(t, name, material)
}
