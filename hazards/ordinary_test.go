package hazards_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

// TestH15VisibleFirstOnThePassive: the passive shows a key before the active has acknowledged it. That is no ghost: it is on both disks, and
// stays although the active dies before anybody was told.
func TestH15VisibleFirstOnThePassive(t *testing.T) {
	p := confirmed(t)
	watch := p.Passive.SQL(t)
	release := p.HoldAnswers(t, watch)
	name := pairtest.NewKey()
	go p.Active.Create(t, name)
	pairtest.Await(t, 5*time.Second, "the passive shows the key", func() bool { return keys(t, watch, name) == 1 })
	p.Active.MustNotServe(t, name)
	p.Active.Kill(t)
	release()
	pairtest.Await(t, 5*time.Second, "the passive serves it", func() bool { _, got := p.Passive.Version(t, name, 0); return got != "" })
	onBothDisks(t, p, name)
}

// TestH16WhatNeverWaits: reads do not wait for the passive, and nothing has a meaning that a rolled back transaction could take with it, as a
// number of a sequence has.
func TestH16WhatNeverWaits(t *testing.T) {
	p := confirmed(t)
	name, _ := p.Active.MustCreate(t)
	admin := p.Active.SQL(t)
	if n := query[int](t, admin, "SELECT count(*) FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' JOIN pg_class k ON k.oid = d.refobjid WHERE k.relname LIKE 'key%'"); n != 0 {
		t.Errorf("the tables of keys have %d sequences", n)
	}
	p.Passive.Freeze(t)
	stays(t, 2*time.Second, "each read at the active is answered within a second", func() error {
		for path, q := range map[string]url.Values{
			"/kms/v1/keys/names": nil, "/kms/v1/key/" + name + "/_metadata": nil, "/kms/v1/key/" + name + "/_currentversion": nil,
			"/kms/v1/keyversion/" + name + "@0": nil, "/kms/v1/key/" + name + "/_eek": {"eek_op": {"generate"}},
		} {
			if a := p.Active.Do(t, http.MethodGet, path, q, nil); a.Status != http.StatusOK || a.Took > time.Second {
				return fmt.Errorf("%s: %v", path, a)
			}
		}
		return nil
	})
}

// TestH21LongReaderOnThePassive: a reader on the passive, with a snapshot that replay has to remove rows under, holds writes back no longer
// than a write may take, and is ended.
func TestH21LongReaderOnThePassive(t *testing.T) {
	p := confirmed(t)
	admin, reader := p.Active.SQL(t), p.Passive.SQL(t)
	execute(t, admin, "CREATE TABLE looked_at AS SELECT n FROM generate_series(1, 1000) n")
	t.Cleanup(func() { execute(t, p.Active.SQL(t), "DROP TABLE looked_at") })
	pairtest.Await(t, 5*time.Second, "the passive has the table", func() bool {
		_, err := reader.Exec(t.Context(), "SELECT count(*) FROM looked_at")
		return err == nil
	})
	done := make(chan error, 1)
	go func() {
		_, err := reader.Exec(context.Background(), "SELECT count(*), pg_sleep(30) FROM looked_at GROUP BY n % 2")
		done <- err
	}()
	watch := p.Passive.SQL(t)
	pairtest.Await(t, 5*time.Second, "somebody reads for long", func() bool {
		return query[int](t, watch, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == 1
	})
	execute(t, admin, "SET synchronous_commit = local")
	execute(t, admin, "TRUNCATE looked_at") // replay waits for the reader's lock
	begun := time.Now()
	name := pairtest.NewKey()
	a := p.Active.Create(t, name)
	t.Logf("a create beside a long reader: %v", a)
	limit := 2500 * time.Millisecond // max_standby_streaming_delay, and what a write takes then
	if a.Status != http.StatusCreated {
		limit = pairtest.RefusedLimit
	}
	if a.Status != http.StatusCreated && a.Reason != "passive_stale" || a.Took > limit {
		t.Errorf("a create beside a long reader: %v", a)
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "conflict with recovery") {
		t.Errorf("the reader ended with %v", err)
	} else {
		t.Logf("after %v: %v", time.Since(begun).Round(time.Millisecond), err)
	}
	p.AwaitOpen(t, time.Now())
}

// TestH22PassiveIsShutDown: a passive that is shut down in good order is one that is not there. Nothing is taken out of what commits wait for.
func TestH22PassiveIsShutDown(t *testing.T) {
	p := confirmed(t)
	admin := p.Active.SQL(t)
	const names = "SHOW synchronous_standby_names"
	before := query[string](t, admin, names)
	p.Passive.Stop(t)
	since := time.Now()
	p.AwaitShut(t, since, "passive_unreachable", "passive_daemon_down", "passive_not_streaming")
	stays(t, 3*time.Second, "writes are refused, and commits wait for the same name", func() error {
		if a := p.Active.Create(t, pairtest.NewKey()); a.Status != 503 || a.Took > pairtest.RefusedLimit || a.Reason == "outcome_unknown" {
			return fmt.Errorf("a create: %v", a)
		}
		if now := query[string](t, admin, names); now != before {
			return fmt.Errorf("the name is %s", now)
		}
		return nil
	})
	p.Active.Says(t, 0, "writes CLOSED since ", "passive_unreachable", "Start keytrustee-db and keytrusteed on "+p.Passive.Name)
}

// TestIdleTransaction: somebody forgets an open transaction on the active, which keeps every snapshot from being whole. Writes go on, and both
// hosts, killed and started alone, serve what was acknowledged meanwhile.
func TestIdleTransaction(t *testing.T) {
	p := confirmed(t)
	idle := p.Active.SQL(t)
	execute(t, idle, "SET idle_in_transaction_session_timeout = 0") // it would end after 5 s
	execute(t, idle, "BEGIN")
	query[string](t, idle, "SELECT pg_current_xact_id()::text")
	material := map[string]string{}
	for begun := time.Now(); time.Since(begun) < 2*time.Second; {
		name, m := p.Active.MustCreate(t)
		material[name] = m
	}
	p.Passive.Kill(t)
	p.Active.Kill(t)
	for _, n := range p.Nodes {
		n.Start(t)
		for name, m := range material {
			pairtest.Await(t, 10*time.Second, n.Name+" serves "+name, func() bool {
				a, got := n.Version(t, name, 0)
				if a.Status == 404 || got != "" && got != m {
					t.Fatalf("%s: %v", n.Name, a)
				}
				return got == m
			})
		}
		n.Kill(t)
	}
	t.Logf("%d keys were acknowledged beside an open transaction", len(material))
}
