package kms_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

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

func TestClaimOnlyTheLastChange(t *testing.T) { // 11, 12, 13
	unknown := func(t *testing.T, r *kmstest.Rig, deliver func() answer) {
		t.Helper()
		release := held(r)
		deliver().want(t, kms.ErrOutcomeUnknown)
		release()
		synctest.Wait()
	}
	admin := func(id string) kms.Call {
		c := kmstest.Call("admin")
		c.RequestID = id
		return c
	}
	t.Run("CreatedThenDeleted", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := kmstest.NewService(t)
			unknown(t, r, func() answer { return create(t, r.Service, alice, "k") })
			remove(t, r.Service, kmstest.Call("zoe"), "k").must(t).hand.Told()
			a := create(t, r.Service, alice, "k")
			if e, ok := errors.AsType[*kms.ExistsError](a.err); !ok || e.Key == nil || !e.Key.Deleted() {
				t.Errorf("error %v; want one that says that the key is deleted", a.err)
			}
		})
	})
	t.Run("CreatedThenPurgedAndMadeAgain", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := kmstest.NewService(t)
			unknown(t, r, func() answer { return create(t, r.Service, alice, "k") })
			remove(t, r.Service, kmstest.Call("zoe"), "k").must(t).hand.Told()
			if _, err := r.PurgeKey(t.Context(), admin("p"), "k"); err != nil {
				t.Fatal(err)
			}
			create(t, r.Service, kmstest.Call("bob"), "k").must(t).hand.Told()
			create(t, r.Service, alice, "k").want(t, kms.ErrKeyExists)
		})
	})
	t.Run("DeletedThenUndeleted", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := kmstest.NewService(t)
			create(t, r.Service, alice, "k").must(t).hand.Told()
			unknown(t, r, func() answer { return remove(t, r.Service, alice, "k") })
			if _, err := r.UndeleteKey(t.Context(), admin("u"), "k"); err != nil {
				t.Fatal(err)
			}
			remove(t, r.Service, alice, "k").must(t)
			k, err := r.Store.Key(t.Context(), "k")
			if err != nil || !k.Deleted() || k.Last.Seq != 3 {
				t.Errorf("after the repeat the key's last change is %+v, %v; want a second deletion", k.Last, err)
			}
		})
	})
	t.Run("DeletedAndStill", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := kmstest.NewService(t)
			create(t, r.Service, alice, "k").must(t).hand.Told()
			unknown(t, r, func() answer { return remove(t, r.Service, alice, "k") })
			remove(t, r.Service, alice, "k").must(t).hand.Told()
			remove(t, r.Service, alice, "k").want(t, kms.ErrKeyNotFound)
		})
	})
}

func TestRightsWithdrawnDuringTheWait(t *testing.T) { // 14
	synctest.Test(t, func(t *testing.T) {
		r := kmstest.NewService(t)
		for _, c := range []struct {
			key     string
			op      kms.Op
			allowed bool
		}{{"a", kms.OpCreate, false}, {"b", kms.OpGet, true}} {
			first := create(t, r.Service, alice, c.key).must(t)
			first.hand.Returned()
			r.Policy.Deny("alice", string(c.op))
			a := create(t, r.Service, alice, c.key)
			r.Policy.Permit("alice", string(c.op))
			if !c.allowed {
				a.want(t, kms.ErrDenied)
				continue
			}
			if a.must(t); a.version.Material.Present() || a.version.Name != "b@0" {
				t.Errorf("without GET the claim got %v; want b@0 without material", a.version)
			}
		}
		first := create(t, r.Service, alice, "c").must(t)
		waiter := begin(func() answer { return create(t, r.Service, alice, "c") })
		synctest.Wait()
		r.Policy.Deny("alice", string(kms.OpCreate))
		first.hand.Told()
		(<-waiter).want(t, kms.ErrDenied)
	})
}

func TestNobodyClaimsAnothers(t *testing.T) { // 15
	hive, knox := kmstest.User("hive"), kmstest.User("knox")
	by := func(user string, real *kms.Principal) kms.Principal {
		p := kmstest.User(user)
		p.Real = real
		return p
	}
	otherwise := kmstest.User("alice")
	otherwise.Method = "another proof"
	callers := []kms.Principal{by("alice", &hive), by("alice", &knox), by("bob", &hive), by("alice", nil), otherwise,
		{Short: "nn", Full: "nn/nn1@R", Method: kms.Simple}, {Short: "nn", Full: "nn/nn2@R", Method: kms.Simple}}
	for i, maker := range callers {
		r := kmstest.NewService(t)
		create(t, r.Service, kms.Call{Principal: maker}, "k").must(t).hand.Returned()
		for j, other := range callers {
			if i != j {
				create(t, r.Service, kms.Call{Principal: other}, "k").want(t, kms.ErrKeyExists)
			}
		}
		create(t, r.Service, kms.Call{Principal: maker}, "k").must(t)
	}
	r := kmstest.NewService(t)
	create(t, r.Service, alice, "k").must(t).hand.Returned()
	c := alice
	c.Body = []byte("another body")
	_, _, err := r.CreateKey(t.Context(), c, kms.CreateRequest{Name: "k", BitLength: 256})
	if e, ok := errors.AsType[*kms.ExistsError](err); !ok || e.SameOptions {
		t.Errorf("another body: error %v; want an *ExistsError with other options", err)
	}
}

func TestAgeOfAClaim(t *testing.T) { // 19
	for _, c := range []struct {
		name           string
		resolved, when time.Duration
		rolled         kms.VersionName
		created        bool
	}{
		{"AtOnce", 0, 59 * time.Second, "k@1", true},
		{"Late", 0, 61 * time.Second, "k@2", true},
		{"VeryLate", 0, 10*time.Minute + time.Second, "k@2", false},
		{"ResolvedAfterAnHour", time.Hour, time.Hour + time.Second, "k@2", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := kmstest.NewService(t)
				create(t, r.Service, alice, "k").must(t).hand.Told()
				start := time.Now()
				release := held(r)
				rolled := begin(func() answer { return roll(t, r.Service, alice, "k") })
				created := begin(func() answer { return create(t, r.Service, alice, "other") })
				time.Sleep(c.resolved - time.Since(start))
				synctest.Wait()
				release()
				for _, a := range []answer{<-rolled, <-created} {
					if c.resolved > 0 {
						a.want(t, kms.ErrOutcomeUnknown)
					} else {
						a.must(t).hand.Returned()
					}
				}
				synctest.Wait()
				time.Sleep(c.when - time.Since(start))
				if got := roll(t, r.Service, alice, "k").must(t).version.Name; got != c.rolled {
					t.Errorf("the repeated roll got %s; want %s", got, c.rolled)
				}
				if got := create(t, r.Service, alice, "other"); (got.err == nil) != c.created {
					t.Errorf("the repeated create: %v; want success %t", got.err, c.created)
				}
			})
		})
	}
}

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

func TestOutcomeCanNotBeRecorded(t *testing.T) { // 25
	r := kmstest.NewService(t)
	full := errors.New("no space left on device")
	r.Recorder.Fail(func(e kms.Event) error {
		if e.Result == kms.AuditOK {
			return full
		}
		return nil
	})
	create(t, r.Service, alice, "k").wantReason(t, kms.ReasonAuditUnavailable)
	create(t, r.Service, alice, "k").wantReason(t, kms.ReasonAuditUnavailable)
	r.Recorder.Fail(nil)
	if a := create(t, r.Service, alice, "k").must(t); a.version.Name != "k@0" {
		t.Errorf("got %s; want k@0", a.version.Name)
	}
}
