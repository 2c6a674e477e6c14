package replication

import (
	"testing"

	"keytrustee/postgres/pgtest"
)

// TestLeaveAwaitsTheReceiver: a standby that has left its active receives nothing more.
func TestLeaveAwaitsTheReceiver(t *testing.T) {
	primary := newServer(t, nil)
	standby := pgtest.Clone(t, primary, "kt_test", pgtest.Options{})
	receives := func() bool { return text(t, standby, "select count(*) from pg_stat_wal_receiver") != "0" }
	pgtest.Await(t, "it streams", receives)
	m := newLone(t, func(c *Config) { c.Server = standby })
	if err := m.state.Update(func(s *State) error { s.Duty, s.Peer = Passive, &Peer{Name: "kt02"}; return nil }); err != nil {
		t.Fatal(err)
	}
	pgtest.Await(t, "it has left", func() bool {
		if err := m.leave(pgtest.Context(t), m.state.Current()); err != nil {
			t.Logf("not yet: %v", err)
			return false
		}
		return true
	})
	if receives() {
		t.Error("it has left, and receives still")
	}
}
