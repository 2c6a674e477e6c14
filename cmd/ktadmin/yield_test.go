package main

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

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
			if spare.Used(sender) {
				t.Error("what sends it for a process that does not yield yields")
				return
			}
		}
	}); err != nil {
		t.Error(err)
	}
	stop()
	if err := spare.Do(func() error {
		stop := yieldSenders(standby) // it does what this thread does
		defer stop()
		return stream(func(sender int) {
			pgtest.Await(t, "what sends the base backup yields", func() bool { return spare.Used(sender) })
		})
	}); err != nil {
		t.Error(err)
	}
	if spare.Used(int(conn.PgConn().PID())) {
		t.Error("another process of the server yields")
	}
}

// writer is called at each write.
type writer func()

func (w writer) Write(p []byte) (int, error) { w(); return len(p), nil }
