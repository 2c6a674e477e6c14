package replication

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// TestPrepareStart: a start begins with rules that admit nobody, a passive that streams from nowhere, and commits that wait;
// or it is refused, and nothing was written.
func TestPrepareStart(t *testing.T) {
	server := pgtest.Server(t, pgtest.Options{})
	if err := os.Mkdir(server.Data, 0o700); err != nil {
		t.Fatal(err)
	}
	open := func() (hba, settings string) {
		t.Helper()
		if err := server.WriteHBA(postgres.HBA{Replication: []postgres.ReplicationPeer{{Address: "192.0.2.2", CN: "kt02"}}}); err != nil {
			t.Fatal(err)
		}
		if err := server.WriteSettings(postgres.Settings{PrimaryConninfo: "host=kt01", SynchronousStandbyNames: "x"}); err != nil {
			t.Fatal(err)
		}
		return read(t, server, "pg_hba.conf"), read(t, server, "postgresql.conf")
	}
	active := State{Self: "kt01", Duty: Active, Epoch: Epoch{3, "abcdef0123456789"}, Peer: &Peer{Name: "kt02"}, SyncEnabled: true}
	passive := State{Self: "kt02", Duty: Passive, Epoch: active.Epoch, Peer: &Peer{Name: "kt01"}}
	signal := filepath.Join(server.Data, "standby.signal")
	for _, row := range []struct {
		when    string
		state   State
		change  func(*State)
		standby bool
		names   string // of synchronous_standby_names; empty: it is refused
	}{
		{"an active starts", active, func(*State) {}, false, `"kt_kt02_3_abcd"`},
		{"an active that is not synchronous yet starts", active, func(s *State) { s.SyncEnabled = false }, false, `"kt_no_passive_yet"`},
		{"an active without a passive starts", active, func(s *State) { s.Peer = nil }, false, `"kt_no_passive_yet"`},
		{"a passive starts", passive, func(*State) {}, true, `"kt_no_passive_yet"`},
		{"an active is fenced", active, func(s *State) { s.Fenced = &Fence{Reason: Fenced} }, false, ""},
		{"a passive is fenced", passive, func(s *State) { s.Fenced = &Fence{Reason: EpochConflict} }, true, ""},
		{"an active is handing over", active, func(s *State) { s.Operation = &Operation{Kind: KindSwitchover, ID: "1", Step: StepStop} }, false, ""},
		{"an active has handed over, for all it knows", active, func(s *State) { s.Operation = &Operation{Kind: KindSwitchover, ID: "1", Step: StepHand} }, false, ""},
		{"an active's data starts as a standby", active, func(*State) {}, true, ""},
		{"a passive's data starts as a primary", passive, func(*State) {}, false, ""},
	} {
		if row.change(&row.state); row.standby {
			if err := os.WriteFile(signal, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		} else if err := os.RemoveAll(signal); err != nil {
			t.Fatal(err)
		}
		beforeHBA, beforeSettings := open()
		err := PrepareStart(server, row.state)
		hba, settings := read(t, server, "pg_hba.conf"), read(t, server, "postgresql.conf")
		if row.names == "" {
			if err == nil || hba != beforeHBA || settings != beforeSettings {
				t.Errorf("%s: error %v; it was to change nothing", row.when, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", row.when, err)
		}
		if strings.Contains(hba, "kt02") || strings.Contains(hba, "192.0.2.2") {
			t.Errorf("%s: the rules admit the other host:\n%s", row.when, hba)
		}
		for _, want := range []string{"primary_conninfo = ''\n", "synchronous_standby_names = '" + row.names + "'\n"} {
			if !strings.Contains(settings, want) {
				t.Errorf("%s: the settings lack %s", row.when, want)
			}
		}
	}
}

func read(t *testing.T, s *postgres.Server, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.Conf, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestFollowRefuses: an order is for one copy, one epoch and one start, and not for a host that is fenced.
func TestFollowRefuses(t *testing.T) {
	for _, row := range []struct {
		when   string
		change func(*State, *Follow)
		ok     bool
	}{
		{"it is in order", func(*State, *Follow) {}, true},
		{"it is for another start", func(_ *State, f *Follow) { f.Passive = "before" }, false},
		{"it is for another epoch", func(_ *State, f *Follow) { f.Epoch = f.Epoch.Next() }, false},
		{"it is for another copy", func(_ *State, f *Follow) { f.Incarnation = "first" }, false},
		{"the passive is fenced", func(s *State, _ *Follow) { s.Fenced = &Fence{Reason: EpochConflict} }, false},
		{"the host is the active", func(s *State, _ *Follow) { s.Duty = Active }, false},
		{"the host has no active", func(s *State, _ *Follow) { s.Peer = nil }, false},
	} {
		m := newLone(t, func(*Config) {})
		f := Follow{Epoch: m.state.Current().Epoch, Incarnation: "copy", Active: "a", Passive: m.start()}
		err := m.state.Update(func(s *State) error {
			s.Duty, s.Incarnation, s.Peer = Passive, "copy", &Peer{Name: "kt01"}
			row.change(s, &f)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		// Its server does not run, so that the order fails in the end in any case; what is on the disk tells.
		if err := m.Follow(t.Context(), f); err == nil {
			t.Errorf("when %s: a server that does not run follows", row.when)
		}
		if taken := m.state.Current().Compared != nil; taken != row.ok {
			t.Errorf("when %s: taken %v", row.when, taken)
		}
	}
}
