package kms_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"keytrustee/kms"
	"keytrustee/kms/kmstest"
)

// The numbers are those of the cases in docs/repeats.md.

func TestIdenticalCreates(t *testing.T) { // 1, 3, 5
	r := kmstest.NewService(t)
	answers := make(chan answer)
	for range 10 {
		go func() {
			a := create(t, r.Service, alice, "k")
			a.hand.Told()
			answers <- a
		}()
	}
	made := 0
	for range 10 {
		a := <-answers
		if a.err == nil {
			made++
			continue
		}
		e, ok := errors.AsType[*kms.ExistsError](a.err)
		if !ok || e.Key == nil || e.Key.CreatedBy != "alice" || !e.SameOptions {
			t.Errorf("error %v; want one that names the maker and says that the options are the same", a.err)
		}
	}
	if made != 1 {
		t.Errorf("%d of 10 were told that they made it; want 1", made)
	}
}

func TestIdenticalRolls(t *testing.T) { // 2
	r := kmstest.NewService(t)
	create(t, r.Service, alice, "k").must(t).hand.Told()
	answers := make(chan answer)
	for range 10 {
		go func() {
			a := roll(t, r.Service, alice, "k")
			a.hand.Told()
			answers <- a
		}()
	}
	var got []kms.VersionName
	for range 10 {
		got = append(got, (<-answers).must(t).version.Name)
	}
	slices.Sort(got)
	if len(slices.Compact(got)) != 10 {
		t.Errorf("the ten got %v; want ten versions", got)
	}
}

func TestReturnedIsClaimed(t *testing.T) { // 4, 10
	synctest.Test(t, func(t *testing.T) {
		r := kmstest.NewService(t)
		first := create(t, r.Service, alice, "k").must(t)
		second := begin(func() answer { return create(t, r.Service, alice, "k") })
		third := begin(func() answer { return create(t, r.Service, alice, "k") })
		synctest.Wait()
		first.hand.Returned()
		synctest.Wait()
		var claimed answer
		rest := third
		select {
		case claimed = <-second:
		case claimed = <-third:
			rest = second
		default:
			t.Fatal("nobody got what was returned")
		}
		select {
		case <-rest:
			t.Fatal("the success is in two hands")
		default:
		}
		first.hand.Returned() // a duplicate counts for nothing
		first.hand.Told()
		synctest.Wait()
		claimed.must(t).hand.Returned()
		last := (<-rest).must(t)
		last.hand.Told()
		last.hand.Returned()
		if last.version.Name != "k@0" || string(last.version.Material.Bytes()) != string(first.version.Material.Bytes()) {
			t.Error("the claim is not the first one's version")
		}
		create(t, r.Service, alice, "k").want(t, kms.ErrKeyExists)
		if n, _ := r.Attempts(); n != 0 {
			t.Errorf("%d attempts are left", n)
		}
	})
}

func TestWaiterIsToldOfNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := kmstest.NewService(t)
		create(t, r.Service, alice, "k").must(t).hand.Told()
		first := roll(t, r.Service, alice, "k").must(t)
		second := begin(func() answer { return roll(t, r.Service, alice, "k") })
		synctest.Wait()
		first.hand.Told()
		if got := (<-second).must(t).version.Name; got != "k@2" {
			t.Errorf("the waiter got %s; want a roll of its own, k@2", got)
		}
	})
}

func TestSameDeliveryAgain(t *testing.T) { // 7, 8
	synctest.Test(t, func(t *testing.T) {
		r := kmstest.NewService(t)
		create(t, r.Service, alice, "k").must(t).hand.Told()
		forwarded := alice
		forwarded.DeliveryID = "d1"

		first := roll(t, r.Service, forwarded, "k").must(t) // and the leg to the passive breaks
		other := begin(func() answer { return roll(t, r.Service, alice, "k") })
		synctest.Wait()
		again := roll(t, r.Service, forwarded, "k").must(t)
		if again.version.Name != first.version.Name {
			t.Errorf("the same delivery got %s, then %s", first.version.Name, again.version.Name)
		}
		first.hand.Returned() // late, and of an earlier hand-over
		synctest.Wait()
		select {
		case <-other:
			t.Fatal("a late report gave the success away")
		default:
		}
		again.hand.Told()
		if got := (<-other).must(t); got.version.Name != "k@2" {
			t.Errorf("the other delivery got %s; want k@2", got.version.Name)
		} else {
			got.hand.Told()
		}
		// Told for want of a report, the success is still that delivery's, and it rolls nothing twice.
		late := roll(t, r.Service, forwarded, "k").must(t)
		late.hand.Returned()
		if late.version.Name != "k@1" {
			t.Errorf("the same delivery got %s in the end; want k@1", late.version.Name)
		}
		got := roll(t, r.Service, kmstest.Call("bob"), "k").must(t)
		got.hand.Told()
		if got.version.Name != "k@3" {
			t.Errorf("bob got %s; want k@3", got.version.Name)
		}
	})
}

func TestSameDeliveryTakesItsPlaceAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := kmstest.NewService(t)
		release := held(r)
		forwarded := alice
		forwarded.DeliveryID = "d1"
		broken := begin(func() answer { return create(t, r.Service, forwarded, "k") })
		synctest.Wait()
		younger := begin(func() answer { return create(t, r.Service, alice, "k") })
		synctest.Wait()
		again := begin(func() answer { return create(t, r.Service, forwarded, "k") })
		synctest.Wait()
		(<-broken).want(t, kms.ErrOutcomeUnknown)
		release()
		(<-again).must(t).hand.Told()
		(<-younger).want(t, kms.ErrKeyExists)
	})
}

// TestSentBefore: what was sent to an earlier life of the daemon is not attempted once more, unless its id tells what came of it.
func TestSentBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := kmstest.NewService(t)
		create(t, r.Service, alice, "k").must(t).hand.Told()
		again := alice
		again.DeliveryID, again.Again = "d1", true
		roll(t, r.Service, again, "k").want(t, kms.ErrOutcomeUnknown)
		if got := versions(t, r.Service, "k"); len(got) != 1 {
			t.Errorf("the key has %v", got)
		}
		again.RequestID = "r1"
		if got := roll(t, r.Service, again, "k").must(t); got.version.Name != "k@1" {
			t.Errorf("with an id: %s", got.version.Name)
		}
	})
}

func TestOutcomeCanNotBeRecorded(t *testing.T) { // 25
	r := kmstest.NewService(t)
	full := errors.New("no space left on device")
	r.Recorder.Fail(func(e kms.Event) error {
		if e.Result == kms.AuditOK {
			return full
		}
		return nil
	})
	for range 2 { // it is done: a refusal would send the client to the other host with another write
		if a := create(t, r.Service, alice, "k"); !errors.Is(a.err, kms.ErrOutcomeUnknown) {
			t.Errorf("a success that can not be recorded ended with %v; want %v", a.err, kms.ErrOutcomeUnknown)
		}
	}
	r.Recorder.Fail(nil)
	if a := create(t, r.Service, alice, "k").must(t); a.version.Name != "k@0" {
		t.Errorf("got %s; want k@0", a.version.Name)
	}
}
