package kms_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"keytrustee/kms"
	"keytrustee/kms/kmstest"
)

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
