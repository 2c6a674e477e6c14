package hazards_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

// hostsFile is how long a Go program goes by what /etc/hosts was, which is where a host of a test finds names.
const hostsFile = 5 * time.Second

// TestH23ColdStart: both hosts were down and are started one after the other, in either order, hours apart by every clock that a person reads
// and by different clocks, and without a name server. What was acknowledged is served by the one that runs; a write is acknowledged only once
// the two have compared themselves, whatever each one's settings say before; and then the gate opens at once.
func TestH23ColdStart(t *testing.T) {
	p := confirmed(t)
	known, material := p.Active.MustCreate(t)
	for _, first := range p.Nodes {
		t.Run(first.Name+" first", func(t *testing.T) {
			p.Passive.Kill(t)
			p.Active.Kill(t)
			first.ForgetNames(t)
			first.Start(t)
			first.AwaitServed(t, known, material)
			stays(t, time.Second, "the first host alone acknowledges nothing, and serves what was acknowledged", func() error {
				if _, got := first.Version(t, known, 0); got != material {
					return errors.New("it does not serve a key")
				}
				return acknowledged(first.Create(t, pairtest.NewKey()))
			})
			first.RememberNames(t)
			named := time.Now().Add(hostsFile)
			for _, n := range p.Nodes {
				n.SetClock(t, 7*time.Hour)
			}
			first.Other().Start(t)
			up := time.Now()
			if named.After(up) {
				up = named
			}
			p.AwaitOpen(t, up)
			name, _ := p.Active.MustCreate(t)
			p.Passive.MustServe(t, name)
			for _, n := range p.Nodes {
				n.SetClock(t, 0)
			}
		})
	}
	onBothDisks(t, p, known)
}

// TestClocksDiffer: a clock that is wrong by a little changes nothing, one that is wrong by more than five minutes shuts the gate and nothing
// else, since people would be told wrong times.
func TestClocksDiffer(t *testing.T) {
	p := confirmed(t)
	known, material := p.Active.MustCreate(t)
	p.Passive.SetClock(t, 4*time.Minute)
	stays(t, time.Second, "writes are open", func() error {
		if !p.Active.Writable(t) {
			return errors.New("they are not")
		}
		return nil
	})
	p.Passive.SetClock(t, -6*time.Minute)
	p.Active.AwaitComplaint(t, "clock_skew")
	p.Active.MustRefuse(t, "clock_skew")
	for _, n := range p.Nodes {
		if n.MustServe(t, known) != material {
			t.Errorf("%s serves another key", n.Name)
		}
	}
	p.Passive.SetClock(t, 0)
	p.AwaitOpen(t, time.Now())
}

// TestNamesForgotten: the names of both hosts are gone, as when a name server dies. Who knows a host's address needs none: what is connected
// stays, both hosts serve reads, and when the names are back everything goes on, whatever was started meanwhile.
func TestNamesForgotten(t *testing.T) {
	p := confirmed(t)
	known, material := p.Active.MustCreate(t)
	for _, n := range p.Nodes {
		n.ForgetNames(t)
	}
	stays(t, 3*time.Second, "writes are open and both hosts serve", func() error {
		for _, n := range p.Nodes {
			if _, got := n.Version(t, known, 0); got != material {
				return fmt.Errorf("%s does not serve a key", n.Name)
			}
		}
		if !p.Active.Writable(t) {
			return errors.New("writes are not open")
		}
		return nil
	})
	p.Active.Kill(t)
	p.Passive.Kill(t)
	p.Passive.Start(t)
	p.Passive.AwaitServed(t, known, material)
	p.Active.Start(t)
	p.Active.AwaitServed(t, known, material)
	back := time.Now()
	for _, n := range p.Nodes {
		n.RememberNames(t)
	}
	p.AwaitOpen(t, back.Add(hostsFile))
	p.Active.MustCreate(t)
}

// TestH11RewoundData: a data directory that pg_rewind left behind has another host's configuration in it and no standby.signal: started, it
// would be a second primary. It is not started, says why, and nothing of its configuration is believed.
func TestH11RewoundData(t *testing.T) {
	p := confirmed(t)
	known, material := p.Active.MustCreate(t)
	p.Passive.Kill(t)
	signal := filepath.Join(p.Passive.PGData, "standby.signal")
	rename(t, signal, signal+".away")
	for _, file := range []string{"postgresql.conf", "pg_hba.conf"} {
		path := filepath.Join(p.Passive.PGData, file)
		t.Cleanup(func() { os.Remove(path) })
		if err := os.WriteFile(path, []byte("this is of another host\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p.Passive.Begin(t)
	stays(t, 3*time.Second, "the database does not start, and nothing is acknowledged", func() error {
		if conn, err := p.Passive.Connect(t.Context()); err == nil {
			conn.Close(t.Context())
			return errors.New("it does")
		}
		return acknowledged(p.Active.Create(t, pairtest.NewKey()))
	})
	if p.Active.MustServe(t, known) != material {
		t.Error("another key is served")
	}
	p.Passive.Kill(t)
	rename(t, signal+".away", signal)
	p.Passive.Start(t)
	p.Passive.AwaitServed(t, known, material)
}
