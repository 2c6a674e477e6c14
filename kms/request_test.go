package kms_test

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"

	"keytrustee/kms"
	"keytrustee/kms/kmstest"
)

func withID(user, id string) kms.Call {
	c := kmstest.Call(user)
	c.RequestID = id
	return c
}

func TestRequestID(t *testing.T) { // 16, 17
	r := kmstest.NewService(t)
	made := create(t, r.Service, withID("alice", "r1"), "k").must(t)
	made.hand.Told() // nil, and takes it
	for _, s := range []*kms.Service{r.Service, r.Restart(t)} {
		again := create(t, s, withID("alice", "r1"), "k").must(t)
		if again.version.Name != "k@0" || !bytes.Equal(again.version.Material.Bytes(), made.version.Material.Bytes()) {
			t.Errorf("the repeat got %v; want the same version", again.version)
		}
		const field = "X-Keytrustee-Request-Id"
		wantInvalid(t, create(t, s, withID("bob", "r1"), "k").err, field)
		wantInvalid(t, create(t, s, withID("alice", "r1"), "other").err, field)
		wantInvalid(t, roll(t, s, withID("alice", "r1"), "k").err, field)
		_, _, err := s.CreateKey(t.Context(), withID("alice", "r1"), kms.CreateRequest{Name: "k", BitLength: 256})
		wantInvalid(t, err, field)
		_, _, err = s.CreateKey(t.Context(), withID("alice", "r1"), kms.CreateRequest{Name: "k", Material: kms.NewMaterial(make([]byte, 16))})
		wantInvalid(t, err, field)
	}
	rolled := roll(t, r.Service, withID("alice", "r2"), "k").must(t)
	roll(t, r.Service, withID("alice", "r3"), "k").must(t)
	if again := roll(t, r.Restart(t), withID("alice", "r2"), "k").must(t); again.version.Name != rolled.version.Name {
		t.Errorf("the repeated roll got %s; want %s", again.version.Name, rolled.version.Name)
	}
	remove(t, r.Service, withID("alice", "r4"), "k").must(t)
	remove(t, r.Service, withID("alice", "r4"), "k").must(t)
	e, ok := errors.AsType[*kms.ExistsError](create(t, r.Restart(t), withID("alice", "r1"), "k").err)
	if !ok || e.Key == nil || !e.Key.Deleted() {
		t.Errorf("the repeat after a deletion: %v; want an error that says deleted", e)
	}
	if _, err := r.UndeleteKey(t.Context(), withID("alice", "r5"), "k"); err != nil {
		t.Fatal(err)
	}
	wantInvalid(t, remove(t, r.Service, withID("alice", "r4"), "k").err, "X-Keytrustee-Request-Id")
	create(t, r.Service, withID("alice", "r1"), "k").must(t)
	wantInvalid(t, create(t, r.Service, withID("alice", "two words"), "x").err, "X-Keytrustee-Request-Id")
}

func TestRequestIDWhileUnresolved(t *testing.T) { // 16
	synctest.Test(t, func(t *testing.T) {
		r := kmstest.NewService(t)
		release := held(r)
		var all []<-chan answer
		for range 5 {
			all = append(all, begin(func() answer { return create(t, r.Service, withID("alice", "r1"), "k") }))
		}
		synctest.Wait()
		wantInvalid(t, create(t, r.Service, withID("bob", "r1"), "other").err, "X-Keytrustee-Request-Id")
		release()
		for _, c := range all {
			if a := (<-c).must(t); a.version.Name != "k@0" {
				t.Errorf("got %s; want k@0", a.version.Name)
			}
		}
	})
}

func TestUndeleteAndPurgeWantARequestID(t *testing.T) {
	r := kmstest.NewService(t)
	create(t, r.Service, alice, "k").must(t).hand.Told()
	_, err := r.UndeleteKey(t.Context(), alice, "k")
	wantInvalid(t, err, "X-Keytrustee-Request-Id")
	_, err = r.PurgeKey(t.Context(), alice, "k")
	wantInvalid(t, err, "X-Keytrustee-Request-Id")

	_, err = r.UndeleteKey(t.Context(), withID("alice", "1"), "k")
	wantInvalid(t, err, "name")
	_, err = r.PurgeKey(t.Context(), withID("alice", "2"), "k")
	wantInvalid(t, err, "name")
	remove(t, r.Service, alice, "k").must(t).hand.Told()
	r.Policy.Deny("alice", string(kms.OpPurge))
	if _, err = r.PurgeKey(t.Context(), withID("alice", "3"), "k"); !errors.Is(err, kms.ErrDenied) {
		t.Errorf("purge without the right: %v", err)
	}
	r.Policy.Permit("alice", string(kms.OpPurge))
	for range 2 {
		if _, err = r.PurgeKey(t.Context(), withID("alice", "3"), "k"); err != nil {
			t.Errorf("purge: %v", err)
		}
	}
	_, err = r.PurgeKey(t.Context(), withID("alice", "4"), "k")
	if !errors.Is(err, kms.ErrKeyNotFound) {
		t.Errorf("purge of what is not there: %v", err)
	}
}

func TestRollWithoutAnIDThenWithOne(t *testing.T) { // 18
	r := kmstest.NewService(t)
	create(t, r.Service, alice, "k").must(t).hand.Told()
	roll(t, r.Service, alice, "k").must(t).hand.Returned()
	if got := roll(t, r.Service, withID("alice", "r1"), "k").must(t).version.Name; got != "k@2" {
		t.Errorf("got %s; want k@2", got)
	}
}

func TestRollWithAnIDThenWithoutOne(t *testing.T) { // 18
	synctest.Test(t, func(t *testing.T) {
		r := kmstest.NewService(t)
		create(t, r.Service, alice, "k").must(t).hand.Told()
		release := held(r)
		with := begin(func() answer { return roll(t, r.Service, withID("alice", "r1"), "k") })
		synctest.Wait()
		without := begin(func() answer { return roll(t, r.Service, alice, "k") })
		synctest.Wait()
		release()
		if a, b := (<-with).must(t).version.Name, (<-without).must(t).version.Name; a != "k@1" || b != "k@2" {
			t.Errorf("with an id %s, without one %s; want k@1 and k@2", a, b)
		}
	})
}

// A delivery with an id is another write than the same without one: it takes nothing from that one's success.
func TestAnIDTakesNoClaim(t *testing.T) { // 18
	r := kmstest.NewService(t)
	create(t, r.Service, alice, "k").must(t).hand.Returned()
	create(t, r.Service, withID("alice", "r1"), "k").want(t, kms.ErrKeyExists)
	create(t, r.Service, alice, "k").must(t).hand.Told()
}
