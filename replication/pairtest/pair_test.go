package pairtest_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"keytrustee/replication/pairtest"
)

// TestPair hurts one pair in every way in turn. Each test leaves it confirmed.
func TestPair(t *testing.T) {
	p := pairtest.New(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *pairtest.Pair)
	}{
		{"pair.json has every field", everyField},
		{"the passive is frozen", frozenPassive},
		{"200 creates at once with the passive frozen", manyCreatesFrozen},
		{"only the passive's daemon stops", passiveDaemonStops},
		{"a waiting COMMIT is cancelled", waitCancelled},
		{"a waiting COMMIT is terminated", waitTerminated},
		{"a waiting backend is killed", waitKilled},
		{"the server is stopped while a COMMIT waits", waitServerStopped},
		{"both hosts die, the active alone comes back", activeAlone},
		{"the active dies, the passive is started cold", coldPassive},
		{"the passive is started cold under a long replay", longReplay},
		{"the active's confdir is gone", ownRootKey},
	} {
		if !t.Run(test.name, func(t *testing.T) { test.run(t, p) }) {
			return // the next one would begin with a pair in an unknown state
		}
		p.Up(t)
	}
}

func everyField(t *testing.T, p *pairtest.Pair) {
	if p.KMSURI == "" || p.CAFile == "" || p.User == "" || len(p.Nodes) != 2 {
		t.Fatalf("incomplete: %+v", p)
	}
	for i, n := range p.Nodes {
		if n.Name != []string{"active", "passive"}[i] || n.Address != []string{"127.0.0.1", "127.0.0.2"}[i] || n.URL == "" || n.PGPort == 0 {
			t.Errorf("incomplete: %+v", n)
		}
		for _, dir := range []string{n.Home, n.Confdir, n.PGData} {
			if info, err := os.Stat(dir); err != nil || !info.IsDir() {
				t.Errorf("%s: %q is no directory", n.Name, dir)
			}
		}
		for component, program := range map[string]string{pairtest.Keytrusteed: "keytrusteed", pairtest.PostgreSQL: "postgres"} {
			exe, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(n.Pids[component]), "exe"))
			if err != nil || filepath.Base(exe) != program {
				t.Errorf("%s: process %d of %s is %q, %v", n.Name, n.Pids[component], component, exe, err)
			}
		}
		var inRecovery bool
		if err := n.SQL(t).QueryRow(t.Context(), "SELECT pg_is_in_recovery()").Scan(&inRecovery); err != nil {
			t.Errorf("%s: %v", n.Name, err)
		}
		if inRecovery != (n == p.Passive) {
			t.Errorf("%s: in recovery: %t", n.Name, inRecovery)
		}
	}
}
