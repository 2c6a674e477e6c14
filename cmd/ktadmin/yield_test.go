package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"

	"keytrustee/internal/spare"
	"keytrustee/postgres/pgtest"
)

// TestYieldSenders: beside a process that takes what others leave, what sends the base backup of a standby does so too, and nothing else of
// that server. A process that does not touches nobody's priority.
func TestYieldSenders(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	primary := pgtest.New(t, pgtest.Options{})
	standby := pgtest.Clone(t, primary, "kt_standby", pgtest.Options{})
	ctx := pgtest.Context(t)
	conn, err := pgx.Connect(ctx, standby.ConnString("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	plain := weightOf(t, int(conn.PgConn().PID()))
	stream := func(see func(sender int)) error {
		sender := 0
		return standby.StreamBaseBackup(ctx, writer(func() {
			if sender != 0 {
				return
			}
			if err := conn.QueryRow(ctx, "select pid from pg_stat_activity where application_name = 'pg_basebackup'").Scan(&sender); err != nil {
				t.Error(err)
				return
			}
			see(sender)
		}))
	}
	stop := yieldSenders(standby)
	if err := stream(func(sender int) {
		for begun := time.Now(); time.Since(begun) < 500*time.Millisecond; { // several looks
			if got := weightOf(t, sender); got != plain {
				t.Errorf("what sends it for a process that does not yield: %s", got)
				return
			}
		}
	}); err != nil {
		t.Error(err)
	}
	stop()
	if err := spare.Do(func() error {
		own := weightOf(t, 0)
		stop := yieldSenders(standby) // it does what this thread does
		defer stop()
		return stream(func(sender int) {
			pgtest.Await(t, "what sends the base backup yields", func() bool { return weightOf(t, sender) == own })
		})
	}); err != nil {
		t.Error(err)
	}
	if got := weightOf(t, int(conn.PgConn().PID())); got != plain {
		t.Errorf("another process of the server: %s, before %s", got, plain)
	}
}

// weightOf is how much of the processors a process gets.
func weightOf(t *testing.T, pid int) string {
	t.Helper()
	attr, err1 := unix.SchedGetAttr(pid, 0)
	nice, err2 := unix.Getpriority(unix.PRIO_PROCESS, pid)
	var may unix.CPUSet
	err3 := unix.SchedGetaffinity(pid, &may)
	if err1 != nil || err2 != nil || err3 != nil {
		t.Error(err1, err2, err3)
		return ""
	}
	return fmt.Sprintf("class %d, nice %d, %d processors", attr.Policy, 20-nice, may.Count())
}

// writer is called at each write.
type writer func()

func (w writer) Write(p []byte) (int, error) { w(); return len(p), nil }
