package kms_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"keytrustee/kms"
	"keytrustee/kms/kmstest"
)

func TestShutGate(t *testing.T) { // 20, 22
	synctest.Test(t, func(t *testing.T) {
		r := kmstest.NewService(t)
		create(t, r.Service, alice, "done").must(t).hand.Returned()
		release := held(r)
		applied := begin(func() answer { return create(t, r.Service, alice, "k") })
		synctest.Wait()
		r.Gate.Close("passive_unreachable", kms.ElsewhereNone)

		start := time.Now()
		create(t, r.Service, alice, "k").want(t, kms.ErrOutcomeUnknown)
		create(t, r.Service, kmstest.Call("bob"), "k").wantReason(t, "passive_unreachable")
		create(t, r.Service, alice, "done").must(t).hand.Told()
		if took := time.Since(start); took != 0 {
			t.Errorf("answered after %v; want at once", took)
		}
		(<-applied).want(t, kms.ErrOutcomeUnknown)
		release()
		synctest.Wait()
		create(t, r.Service, alice, "k").must(t).hand.Told()
		create(t, r.Service, alice, "k").wantReason(t, "passive_unreachable")
	})
}

func TestOtherWorld(t *testing.T) { // 23
	r := kmstest.NewService(t)
	create(t, r.Service, alice, "k").must(t).hand.Returned()
	r.Gate.SetWorld("")
	create(t, r.Service, alice, "k").wantReason(t, kms.ReasonStarting)
	r.Gate.SetWorld("active 3")
	create(t, r.Service, alice, "k").want(t, kms.ErrKeyExists)
}

// TestClaimInDoubt: a success that comes to a delivery that waited is not told in a state in which nothing is certain.
func TestClaimInDoubt(t *testing.T) { // 23, 31
	synctest.Test(t, func(t *testing.T) {
		r := kmstest.NewService(t)
		first := create(t, r.Service, alice, "k").must(t)
		waiter := begin(func() answer { return create(t, r.Service, alice, "k") })
		synctest.Wait()
		r.Gate.SetWorld("")
		first.hand.Returned()
		(<-waiter).wantReason(t, kms.ReasonStarting)
		r.Gate.SetWorld("active 1")
		create(t, r.Service, alice, "k").must(t).hand.Told()
	})
}

// TestAnotherHostIsTheActiveNow: the one that was fenced sends everybody to the other, and that one takes every write.
func TestAnotherHostIsTheActiveNow(t *testing.T) { // 23, 31
	r := kmstest.NewService(t)
	create(t, r.Service, alice, "k").must(t).hand.Returned()
	gate := kmstest.NewGate()
	gate.SetWorld("active in epoch 2")
	active := r.Restart(t, func(c *kms.Config) { c.Gate = gate })
	r.Gate.Close("fenced", kms.ElsewherePeer)
	r.Gate.SetWorld("")
	for i, write := range []func(*kms.Service) answer{
		func(s *kms.Service) answer { return create(t, s, alice, "new") },
		func(s *kms.Service) answer { return roll(t, s, alice, "k") },
		func(s *kms.Service) answer { return remove(t, s, alice, "new") },
	} {
		refused := write(r.Service)
		if e, ok := errors.AsType[*kms.ReadOnlyError](refused.err); !ok || e.Remedy != kms.ElsewherePeer {
			t.Errorf("write %d at the fenced host: %v; want one that sends the client to the other", i, refused.err)
		}
		write(active).must(t).hand.Told()
	}
	create(t, active, alice, "k").want(t, kms.ErrKeyExists) // its claim did not come along
}
