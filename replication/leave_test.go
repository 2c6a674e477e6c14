package replication

import (
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"keytrustee/postgres/pgtest"
)

// TestLeaveAwaitsTheReceiver: a standby has left its active when nothing receives its log any more, and not before.
func TestLeaveAwaitsTheReceiver(t *testing.T) {
	primary := newServer(t, nil)
	standby := pgtest.Clone(t, primary, "kt_test", pgtest.Options{})
	var receiver int
	pgtest.Await(t, "it streams", func() bool {
		receiver, _ = strconv.Atoi(text(t, standby, "select coalesce(max(pid), 0) from pg_stat_wal_receiver"))
		return receiver != 0
	})
	m := newLone(t, func(c *Config) { c.Server = standby })
	if err := m.state.Update(func(s *State) error { s.Duty, s.Peer = Passive, &Peer{Name: "kt02"}; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(receiver, unix.SIGSTOP); err != nil { // so that it can not end
		t.Fatal(err)
	}
	defer unix.Kill(receiver, unix.SIGCONT)
	if err := m.leave(pgtest.Context(t), m.state.Current()); err == nil {
		t.Error("it has left while its receiver is there")
	}
	if err := unix.Kill(receiver, unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	pgtest.Await(t, "it has left", func() bool { return m.leave(pgtest.Context(t), m.state.Current()) == nil })
}
