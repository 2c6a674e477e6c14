package hazards_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

// TestH09ThawedActive: the active stands still with writes under way, in their COMMITs and in its sockets, is taken for dead, and the passive is
// promoted. When it goes on, it acknowledges none of them and no new one, meets the new epoch and fences itself, and serves nothing from then on.
func TestH09ThawedActive(t *testing.T) {
	p := confirmed(t)
	known, material := p.Active.MustCreate(t)
	old, successor := p.Active, p.Passive
	admin := old.SQL(t)
	var names []string
	answers := make(chan pairtest.Answer, 16)
	create := func() {
		name := pairtest.NewKey()
		names = append(names, name)
		go func() { answers <- old.Create(t, name) }()
	}

	successor.Freeze(t, pairtest.PostgreSQL) // so that what is under way is undecided when the active stands still
	for range cap(answers) / 2 {
		create()
	}
	pairtest.Await(t, 5*time.Second, "COMMITs wait for the passive", func() bool {
		return query[int](t, admin, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query ILIKE 'commit%'") > 0
	})
	old.Freeze(t)
	successor.Thaw(t, pairtest.PostgreSQL)
	for range cap(answers) / 2 {
		create()
	}
	promote(t, successor)
	successor.AwaitServed(t, known, material) // its daemon begins anew
	successor.MustRefuse(t, "no_passive")
	if len(answers) == cap(answers) { // refused before it stood still, or given up by its client
		t.Fatal("nothing is under way any more")
	}

	old.Thaw(t)
	var sentence string
	pairtest.Await(t, 15*time.Second, "the old active meets the new epoch, and acknowledges nothing until then", func() bool {
		if a := old.Create(t, pairtest.NewKey()); a.Err == nil {
			if err := acknowledged(a); err != nil {
				t.Fatal(err)
			}
		}
		var reason string
		reason, sentence = old.Complaint(t)
		return reason == "epoch_conflict"
	})
	if t.Log(sentence); !strings.Contains(sentence, "ktadmin init-slave --reclone") {
		t.Errorf("the message names no command to run: %s", sentence)
	}
	for range cap(answers) {
		a := <-answers
		t.Logf("what was under way: %v", a)
		if err := acknowledged(a); a.Err == nil && err != nil {
			t.Error(err)
		}
	}
	stays(t, 2*time.Second, "the old active serves nothing, the new one what it did", func() error {
		if _, got := successor.Version(t, known, 0); got != material {
			return errors.New("it does not")
		}
		return servesNothing(t, old, append(names, known)...)
	})
	joinsAnew(t, p, successor)
	onBothDisks(t, p, known)
}
