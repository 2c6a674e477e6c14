package pairtest_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

// What a host may say of a peer that stands still.
var silent = []string{"passive_unreachable", "passive_daemon_down", "passive_stale", "passive_not_streaming"}

func frozenPassive(t *testing.T, p *pairtest.Pair) {
	known, material := p.Active.MustCreate(t)
	p.Passive.Freeze(t)
	frozen := time.Now()

	early, told := pairtest.NewKey(), make(chan pairtest.Answer, 1)
	go func() { told <- p.Active.Create(t, early) }()
	p.AwaitShut(t, frozen, silent...)
	late := p.Active.MustRefuse(t, silent...)
	if p.Active.MustServe(t, known) != material {
		t.Error("the active serves other material than it made")
	}
	a := <-told
	if a.Status == http.StatusCreated || a.Took > 7*time.Second {
		t.Fatalf("create right after the freeze: %v", a)
	}
	t.Logf("create right after the freeze: %v", a)
	p.Active.MustNotServe(t, early)

	p.Passive.Thaw(t)
	p.AwaitOpen(t, time.Now())
	p.Active.MustCreate(t)
	p.Active.MustNotServe(t, late)
	if a.Reason != "outcome_unknown" {
		p.Active.MustNotServe(t, early)
	}
}

// manyCreatesFrozen: a few of two hundred writes wait in their COMMITs, the administrator comes in beside them, and all others are refused in
// time. None is acknowledged.
func manyCreatesFrozen(t *testing.T, p *pairtest.Pair) {
	const creates = 200
	watch := p.Active.SQL(t)
	p.Passive.Freeze(t)
	type outcome struct {
		name   string
		answer pairtest.Answer
	}
	outcomes := make([]outcome, creates)
	var wg sync.WaitGroup
	for i := range outcomes {
		wg.Go(func() {
			o := outcome{name: pairtest.NewKey()}
			o.answer = p.Active.Create(t, o.name)
			outcomes[i] = o
		})
	}
	var waiters int
	pairtest.Await(t, 5*time.Second, "COMMITs wait for the passive", func() bool {
		err := watch.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'").Scan(&waiters)
		return err == nil && waiters > 0
	})
	if err := p.Active.SQL(t).Ping(t.Context()); err != nil {
		t.Errorf("the administrator can not log in: %v", err)
	}
	t.Logf("the administrator has logged in beside %d COMMITs that wait", waiters)
	wg.Wait()
	count := map[string]int{}
	for _, o := range outcomes {
		unknown := o.answer.Reason == "outcome_unknown"
		switch {
		case o.answer.Err != nil || o.answer.Status != http.StatusServiceUnavailable:
			t.Errorf("a create with the passive frozen: %v", o.answer)
		case !unknown && o.answer.Took > pairtest.RefusedLimit:
			t.Errorf("refused late: %v", o.answer)
		}
		count[o.answer.Reason]++
		if a, material := p.Active.Version(t, o.name, 0); material != "" {
			t.Errorf("%s is served before the passive has it: %v", o.name, a)
		}
	}
	t.Logf("outcomes: %v", count)

	p.Passive.Thaw(t)
	p.AwaitOpen(t, time.Now())
	p.Active.MustCreate(t)
	for _, o := range outcomes {
		if o.answer.Reason != "outcome_unknown" {
			p.Active.MustNotServe(t, o.name)
			p.Passive.MustNotServe(t, o.name)
			continue
		}
		_, here := p.Active.Version(t, o.name, 0)
		if here != "" && p.Passive.MustServe(t, o.name) != here {
			t.Errorf("%s differs between the hosts", o.name)
		}
	}
}

func passiveDaemonStops(t *testing.T, p *pairtest.Pair) {
	p.Passive.Kill(t, pairtest.Keytrusteed)
	p.AwaitShut(t, time.Now(), "passive_daemon_down")
	p.Active.MustRefuse(t, "passive_daemon_down")
	var state, sync string
	err := p.Active.SQL(t).QueryRow(t.Context(), "SELECT state, sync_state FROM pg_stat_replication").Scan(&state, &sync)
	if err != nil || state != "streaming" {
		t.Errorf("meanwhile the passive's PostgreSQL is %q, %q, %v; want it streaming", state, sync, err)
	}
}
