package hazards_test

import (
	"net/http"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

// TestH05EmptiedNames: somebody empties synchronous_standby_names while a COMMIT waits for the passive. PostgreSQL answers it with plain
// success; nobody is told so, nothing of it is served, and the gate says which setting is wrong.
func TestH05EmptiedNames(t *testing.T) {
	p := confirmed(t)
	known, material := p.Active.MustCreate(t)
	admin := p.Active.SQL(t)
	p.Passive.Freeze(t, pairtest.PostgreSQL)
	name := pairtest.NewKey()
	answer := make(chan pairtest.Answer, 1)
	go func() { answer <- p.Active.Create(t, name) }()
	pairtest.Await(t, 5*time.Second, "a COMMIT waits for the passive", func() bool {
		return query[int](t, admin, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == 1
	})
	set(t, p.Active, "synchronous_standby_names", "")
	pairtest.Await(t, 5*time.Second, "PostgreSQL shows the key", func() bool { return keys(t, admin, name) == 1 })
	t.Log("the wait has ended with plain success")

	stays(t, 2*time.Second, "the key is not served", func() error { p.Active.MustNotServe(t, name); return nil })
	if a := <-answer; a.Status != http.StatusServiceUnavailable || a.Reason != "outcome_unknown" {
		t.Errorf("the client was told: %v", a)
	}
	if p.Active.MustServe(t, known) != material {
		t.Error("what was acknowledged before is another key")
	}
	p.Active.MustRefuse(t, "unsafe_settings")
	p.Active.Says(t, 0, "writes CLOSED since ", "unsafe_settings", "synchronous_standby_names is , must be ", "reload or restart keytrustee-db")

	reset(t, p.Active, "synchronous_standby_names")
	p.Passive.Thaw(t, pairtest.PostgreSQL)
	p.AwaitOpen(t, time.Now())
	p.Active.MustCreate(t)
}

// TestH06WeakerCommit: a level below remote_apply, given to a role, a database or the whole server, changes nothing for a key: each write sets
// its own. It shuts the gate all the same.
func TestH06WeakerCommit(t *testing.T) {
	p := confirmed(t)
	for _, c := range []struct{ given, back string }{
		{"ALTER ROLE ktsuper SET synchronous_commit = 'off'", "ALTER ROLE ktsuper RESET synchronous_commit"},
		{"ALTER DATABASE keytrustee SET synchronous_commit = 'local'", "ALTER DATABASE keytrustee RESET synchronous_commit"},
	} {
		t.Run(c.given, func(t *testing.T) {
			admin := p.Active.SQL(t)
			execute(t, admin, "SET synchronous_commit = local")
			given := time.Now()
			execute(t, admin, c.given)
			p.AwaitShut(t, given, "unsafe_settings")
			defer execute(t, admin, c.back)
			p.Active.MustRefuse(t, "unsafe_settings")
			p.Active.Says(t, 0, "writes CLOSED since ", "unsafe_settings", "pg_db_role_setting")
			gone := time.Now()
			execute(t, admin, c.back)
			p.AwaitOpen(t, gone)
		})
	}
	t.Run("every session", func(t *testing.T) {
		set(t, p.Active, "synchronous_commit", "off")
		p.AwaitShut(t, time.Now(), "unsafe_settings")
		p.Active.MustRefuse(t, "unsafe_settings")
	})
	p.AwaitOpen(t, time.Now())
	name, _ := p.Active.MustCreate(t)
	onBothDisks(t, p, name)
}

// TestH12UnsafePassive: what the passive calls flushed must be, and what it has must be readable at once.
func TestH12UnsafePassive(t *testing.T) {
	p := confirmed(t)
	for _, c := range []struct{ name, value string }{
		{"fsync", "off"}, {"full_page_writes", "off"}, {"recovery_min_apply_delay", "5s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			set(t, p.Passive, c.name, c.value)
			p.AwaitShut(t, time.Now(), "unsafe_settings")
			p.Active.MustRefuse(t, "unsafe_settings")
			p.Active.Says(t, 0, "writes CLOSED since ", "unsafe_settings", "on "+p.Passive.Name+": "+c.name+" is ", "reload or restart keytrustee-db")
			reset(t, p.Passive, c.name)
			p.AwaitOpen(t, time.Now())
		})
	}
}

// TestH17TwoPhaseCommit: prepared transactions, whose outcome nobody may know, can not be made on either host.
func TestH17TwoPhaseCommit(t *testing.T) {
	p := confirmed(t)
	for _, n := range p.Nodes {
		if got := query[string](t, n.SQL(t), "SHOW max_prepared_transactions"); got != "0" {
			t.Errorf("the %s allows %s prepared transactions", n.Name, got)
		}
	}
	conn := p.Active.SQL(t)
	execute(t, conn, "BEGIN")
	if _, err := conn.Exec(t.Context(), "PREPARE TRANSACTION 'doubt'"); err == nil {
		t.Error("a transaction was prepared")
	}
}

// TestH24SharedArchive: neither host archives its log or restores from an archive, so no history of another time reaches one.
func TestH24SharedArchive(t *testing.T) {
	p := confirmed(t)
	for _, n := range p.Nodes {
		conn := n.SQL(t)
		for name, want := range map[string]string{"archive_mode": "off", "restore_command": "", "recovery_target_timeline": "latest"} {
			if got := query[string](t, conn, "SELECT current_setting($1)", name); got != want {
				t.Errorf("%s: %s is %q, want %q", n.Name, name, got, want)
			}
		}
	}
}
