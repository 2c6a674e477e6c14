package kms_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"keytrustee/kms"
	"keytrustee/kms/kmstest"
)

func TestReads(t *testing.T) {
	r := kmstest.NewService(t)
	p := alice.Principal
	text := "for payroll"
	_, h, err := r.CreateKey(t.Context(), alice, kms.CreateRequest{Name: "b", Description: &text, Attributes: map[string]string{"x": "y"}})
	if err != nil {
		t.Fatal(err)
	}
	h.Told()
	create(t, r.Service, alice, "a").must(t).hand.Told()
	rolled := roll(t, r.Service, alice, "b").must(t)
	rolled.hand.Told()

	names, err := r.KeyNames(t.Context(), p)
	if want := []kms.KeyName{"a", "b"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("KeyNames = %q, %v; want %q", names, err, want)
	}
	m, err := r.Metadata(t.Context(), p, "b")
	want := kms.Metadata{Name: "b", Cipher: "AES/CTR/NoPadding", BitLength: 128, Description: &text,
		Attributes: map[string]string{"x": "y", "key.acl.name": "b"}, Created: m.Created, Versions: 2}
	if diff := cmp.Diff(want, m); err != nil || diff != "" || time.Since(m.Created) > time.Minute || m.Created.Nanosecond()%1e6 != 0 {
		t.Errorf("Metadata: %v, created %v, difference (-want +got):\n%s", err, m.Created, diff)
	}
	all, err := r.KeysMetadata(t.Context(), p, []kms.KeyName{"b", "absent", "a", "b"})
	if err != nil || len(all) != 4 || all[1] != nil || all[2].Name != "a" || !cmp.Equal(*all[3], want) {
		t.Errorf("KeysMetadata = %v, %v", all, err)
	}
	current, err := r.CurrentKey(t.Context(), p, "b")
	if err != nil || current.Name != "b@1" || current.Key != "b" || string(current.Material.Bytes()) != string(rolled.version.Material.Bytes()) {
		t.Errorf("CurrentKey = %v, %v; want what the roll gave", current, err)
	}
	old, err := r.KeyVersion(t.Context(), p, "b@0")
	if err != nil || old.Name != "b@0" || len(old.Material.Bytes()) != 16 {
		t.Errorf("KeyVersion = %v, %v", old, err)
	}
	if got := versions(t, r.Service, "b"); !slices.Equal(got, []kms.VersionName{"b@0", "b@1"}) {
		t.Errorf("KeyVersions = %q", got)
	}
}

// wantAbsent checks every read of a key that is not there, or deleted.
func wantAbsent(t *testing.T, r *kmstest.Rig, name kms.KeyName) {
	t.Helper()
	p := alice.Principal
	_, err := r.Metadata(t.Context(), p, name)
	_, err2 := r.CurrentKey(t.Context(), p, name)
	_, err3 := r.KeyVersions(t.Context(), p, name)
	_, err4 := r.GenerateEEK(t.Context(), p, name, 1)
	for i, err := range []error{err, err2, err3, err4} {
		if !errors.Is(err, kms.ErrKeyNotFound) {
			t.Errorf("read %d of %q: %v; want %v", i, name, err, kms.ErrKeyNotFound)
		}
	}
	if _, err := r.KeyVersion(t.Context(), p, kms.NthVersionName(name, 0)); !errors.Is(err, kms.ErrVersionNotFound) {
		t.Errorf("KeyVersion of %q: %v; want %v", name, err, kms.ErrVersionNotFound)
	}
	if all, err := r.KeysMetadata(t.Context(), p, []kms.KeyName{name}); err != nil || all[0] != nil {
		t.Errorf("KeysMetadata of %q = %v, %v", name, all, err)
	}
}

func TestDeletedKeyIsNotServed(t *testing.T) {
	r := kmstest.NewService(t)
	first := create(t, r.Service, alice, "k").must(t)
	first.hand.Told()
	roll(t, r.Service, alice, "k").must(t).hand.Told()
	if _, err := r.GenerateEEK(t.Context(), alice.Principal, "k", 1); err != nil { // warms the cache
		t.Fatal(err)
	}
	if _, err := r.KeyVersion(t.Context(), alice.Principal, "k@0"); err != nil {
		t.Fatal(err)
	}
	remove(t, r.Service, alice, "k").must(t).hand.Told()
	wantAbsent(t, r, "k")
	names, err := r.KeyNames(t.Context(), alice.Principal)
	if err != nil || len(names) != 0 {
		t.Errorf("KeyNames = %q, %v", names, err)
	}
	roll(t, r.Service, alice, "k").want(t, kms.ErrKeyNotFound)
	remove(t, r.Service, alice, "k").want(t, kms.ErrKeyNotFound)
	a := create(t, r.Service, alice, "k")
	if e, ok := errors.AsType[*kms.ExistsError](a.err); !ok || e.Key == nil || !e.Key.Deleted() {
		t.Errorf("create of a deleted name: %v; want an error that says who deleted it and when", a.err)
	}

	if _, err := r.UndeleteKey(t.Context(), withID("alice", "u1"), "k"); err != nil {
		t.Fatal(err)
	}
	v, err := r.KeyVersion(t.Context(), alice.Principal, "k@0")
	if err != nil || string(v.Material.Bytes()) != string(first.version.Material.Bytes()) {
		t.Errorf("after undelete k@0: %v; want its material", err)
	}
	if got := versions(t, r.Service, "k"); len(got) != 2 {
		t.Errorf("after undelete: %q; want two versions", got)
	}
}

func TestPurgedNameMeansAnotherKey(t *testing.T) {
	r := kmstest.NewService(t)
	first := create(t, r.Service, alice, "k").must(t)
	first.hand.Told()
	if _, err := r.KeyVersion(t.Context(), alice.Principal, "k@0"); err != nil {
		t.Fatal(err)
	}
	remove(t, r.Service, alice, "k").must(t).hand.Told()
	if _, err := r.PurgeKey(t.Context(), withID("alice", "p1"), "k"); err != nil {
		t.Fatal(err)
	}
	wantAbsent(t, r, "k")
	second := create(t, r.Service, alice, "k").must(t)
	second.hand.Told()
	v, err := r.KeyVersion(t.Context(), alice.Principal, "k@0")
	if err != nil || string(v.Material.Bytes()) != string(second.version.Material.Bytes()) {
		t.Errorf("k@0 of the new key: %v; want the new material", err)
	}
}

func TestNamesThatNothingCanHave(t *testing.T) {
	r := kmstest.NewService(t)
	for _, name := range []kms.KeyName{"", "a\x00b", "\xff", "never made"} {
		wantAbsent(t, r, name)
		roll(t, r.Service, alice, name).want(t, kms.ErrKeyNotFound)
		remove(t, r.Service, alice, name).want(t, kms.ErrKeyNotFound)
	}
}

func TestUncertainIsNotAbsent(t *testing.T) {
	r := kmstest.NewService(t)
	r.Store.SetNotReady(kms.NotReadyError("kt01", kms.ReasonStarting, "kt01 is starting"))
	p := alice.Principal
	_, err := r.Metadata(t.Context(), p, "k")
	wantReason(t, err, kms.ReasonStarting)
	_, err = r.KeysMetadata(t.Context(), p, []kms.KeyName{"k"})
	wantReason(t, err, kms.ReasonStarting)
	_, err = r.KeyNames(t.Context(), p)
	wantReason(t, err, kms.ReasonStarting)
	_, err = r.KeyVersion(t.Context(), p, "k@0")
	wantReason(t, err, kms.ReasonStarting)
	_, err = r.DecryptEEK(t.Context(), p, kms.EncryptedKeyVersion{Key: "k", Version: "k@0", IV: make([]byte, 16)})
	wantReason(t, err, kms.ReasonStarting)
	roll(t, r.Service, alice, "k").wantReason(t, kms.ReasonStarting)
	if err := r.InvalidateCache(t.Context(), alice, "k"); err != nil {
		t.Errorf("InvalidateCache: %v", err)
	}
}

func TestRecent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := kmstest.NewService(t)
		create(t, r.Service, alice, "k").must(t).hand.Told()
		roll(t, r.Service, kmstest.Call("bob"), "k").must(t).hand.Told()
		for _, c := range []struct {
			user string
			kind kms.ChangeKind
			want bool
		}{{"alice", kms.Created, true}, {"bob", kms.Created, false}, {"bob", kms.Rolled, true}, {"alice", kms.Rolled, false}, {"alice", kms.Deleted, false}} {
			if got, ok := r.Recent(t.Context(), kmstest.User(c.user), c.kind, "k"); ok != c.want || ok && got.Kind != c.kind {
				t.Errorf("Recent(%s, %s) = %v, %t; want %t", c.user, c.kind, got, ok, c.want)
			}
		}
		time.Sleep(61 * time.Second)
		if _, ok := r.Recent(t.Context(), alice.Principal, kms.Created, "k"); ok {
			t.Error("Recent after 61 s")
		}
		if _, ok := r.Recent(t.Context(), alice.Principal, kms.Created, "absent"); ok {
			t.Error("Recent of a key that is not there")
		}
	})
}
