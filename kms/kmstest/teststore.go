package kmstest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keytrustee/kms"
)

// TestStore holds what open returns, an empty Store, to all that kms.Store promises.
func TestStore(t *testing.T, open func(t *testing.T) kms.Store) {
	for name, test := range map[string]func(storeTest){
		"Create":               storeTest.create,
		"Absent":               storeTest.absent,
		"Duplicate":            storeTest.duplicate,
		"Roll":                 storeTest.roll,
		"Conflict":             storeTest.conflict,
		"DeleteAndUndelete":    storeTest.deleteAndUndelete,
		"PurgeAndCreateAnew":   storeTest.purgeAndCreateAnew,
		"OddNames":             storeTest.oddNames,
		"ByRequest":            storeTest.byRequest,
		"Order":                storeTest.order,
		"ResultsAreTheCallers": storeTest.resultsAreTheCallers,
		"CanceledBefore":       storeTest.canceledBefore,
		"ConcurrentCreates":    storeTest.concurrentCreates,
		"ConcurrentRolls":      storeTest.concurrentRolls,
	} {
		t.Run(name, func(t *testing.T) { test(storeTest{t, open(t), NewSealer()}) })
	}
}

func (s storeTest) create() {
	k, v := s.mustCreate("k")
	s.wantKey(k)
	s.wantVersions(k, v)

	c, plain, pv := s.prepare("plain")
	plain.Description, plain.Attributes = nil, map[string]string{}
	if err := s.store.Apply(s.Context(), c, &plain, &pv); err != nil {
		s.Fatal(err)
	}
	s.wantKey(plain)
}

func (s storeTest) absent() {
	s.mustCreate("there")
	_, err := s.store.Key(s.Context(), "k")
	s.wantError(err, kms.ErrKeyNotFound, "Key of a name that nothing has")
	_, _, err = s.store.Version(s.Context(), "there@1")
	s.wantError(err, kms.ErrVersionNotFound, "Version of a name that nothing has")
	_, _, err = s.store.Version(s.Context(), "there")
	s.wantError(err, kms.ErrVersionNotFound, "Version of a key's name")
	_, err = s.store.Versions(s.Context(), kms.NewID())
	s.wantError(err, kms.ErrKeyNotFound, "Versions of an unknown key")
	_, err = s.store.Current(s.Context(), kms.NewID())
	s.wantError(err, kms.ErrKeyNotFound, "Current of an unknown key")
	_, _, err = s.store.ByRequest(s.Context(), "nobody's")
	s.wantError(err, kms.ErrKeyNotFound, "ByRequest of an unknown id")
}

func (s storeTest) duplicate() {
	k, v := s.mustCreate("k")
	for _, deleted := range []bool{false, true} {
		if deleted {
			k = s.mustStep(k, kms.Deleted)
		}
		c, other, ov := s.prepare("k")
		err := s.store.Apply(s.Context(), c, &other, &ov)
		exists, ok := errors.AsType[*kms.ExistsError](err)
		if !ok || exists.Key == nil {
			s.Fatalf("Apply(created) of a taken name, deleted %t: error %v; want an *ExistsError with its Key", deleted, err)
		}
		if diff := cmp.Diff(k, *exists.Key); diff != "" {
			s.Errorf("the error's key differs (-want +got):\n%s", diff)
		}
		s.wantKey(k)
		s.wantVersions(k, v)
	}
}

func (s storeTest) roll() {
	k, v0 := s.mustCreate("k")
	other, ov := s.mustCreate("other")
	k, v1 := s.mustRoll(k)
	k, v2 := s.mustRoll(k)
	s.wantKey(k)
	s.wantVersions(k, v0, v1, v2)
	s.wantKey(other)
	s.wantVersions(other, ov)
}

func (s storeTest) conflict() {
	old, _ := s.mustCreate("k")
	k, _ := s.mustRoll(old)
	for _, kind := range []kms.ChangeKind{kms.Rolled, kms.Deleted} {
		c := s.newChange(old, kind)
		var version *kms.SealedVersion
		if kind == kms.Rolled {
			v := s.newVersion(old, old.Versions, &c)
			version = &v
		}
		s.wantError(s.store.Apply(s.Context(), c, nil, version), kms.ErrConflict, string(kind)+" of a key that changed since it was read")
	}
	s.wantKey(k)
	deleted := s.mustStep(k, kms.Deleted)
	s.wantError(s.store.Apply(s.Context(), s.newChange(k, kms.Deleted), nil, nil), kms.ErrConflict, "a second deletion")
	s.wantKey(deleted)
}

func (s storeTest) deleteAndUndelete() {
	k, v0 := s.mustCreate("k")
	k, v1 := s.mustRoll(k)
	k = s.mustStep(k, kms.Deleted)
	if !k.Deleted() {
		s.Fatal("the key is not deleted")
	}
	s.wantKey(k)
	s.wantVersions(k, v0, v1)
	k = s.mustStep(k, kms.Undeleted)
	s.wantKey(k)
	s.wantVersions(k, v0, v1)
	k, v2 := s.mustRoll(k)
	s.wantVersions(k, v0, v1, v2)
}

func (s storeTest) purgeAndCreateAnew() {
	old, _ := s.mustCreate("k")
	old = s.mustStep(old, kms.Deleted)
	old = s.mustStep(old, kms.Purged)
	_, err := s.store.Key(s.Context(), "k")
	s.wantError(err, kms.ErrKeyNotFound, "Key of a purged key")
	_, _, err = s.store.Version(s.Context(), "k@0")
	s.wantError(err, kms.ErrVersionNotFound, "Version of a purged key")
	_, err = s.store.Versions(s.Context(), old.ID)
	s.wantError(err, kms.ErrKeyNotFound, "Versions of a purged key")
	_, err = s.store.Current(s.Context(), old.ID)
	s.wantError(err, kms.ErrKeyNotFound, "Current of a purged key")
	s.wantError(s.store.Apply(s.Context(), s.newChange(old, kms.Undeleted), nil, nil), kms.ErrConflict, "a change after the purge")

	k, v := s.mustCreate("k")
	s.wantKey(k)
	s.wantVersions(k, v)
	s.mustStep(s.mustStep(k, kms.Deleted), kms.Purged)
	k, v = s.mustCreate("k")
	s.wantVersions(k, v)
}

func (s storeTest) oddNames() {
	names := []kms.KeyName{"K", "k", "a b", "a/b", "a%2Fb", `"; DROP TABLE key; --`, "'", `\`, "two\nlines", "k@0", "@", "+", "ü",
		"u\u0308", "\u202e", "*", "_", "%", kms.KeyName(strings.Repeat("x", kms.MaxKeyName))}
	keys, versions := map[kms.KeyName]kms.Key{}, map[kms.KeyName]kms.SealedVersion{}
	for _, name := range names {
		keys[name], versions[name] = s.mustCreate(name)
	}
	for _, name := range names {
		s.wantKey(keys[name])
		s.wantVersions(keys[name], versions[name])
	}
}

func (s storeTest) byRequest() {
	c, k, v := s.prepare("k")
	c.RequestID = "create-1"
	k.Last, v.Created = c, c
	if err := s.store.Apply(s.Context(), c, &k, &v); err != nil {
		s.Fatal(err)
	}
	want := func(id string, change kms.Change, key kms.Key) {
		s.Helper()
		gotChange, gotKey, err := s.store.ByRequest(s.Context(), id)
		if diff := cmp.Diff(change, gotChange); err != nil || diff != "" {
			s.Errorf("ByRequest(%s): error %v, the change differs (-want +got):\n%s", id, err, diff)
		}
		if diff := cmp.Diff(key, gotKey); diff != "" {
			s.Errorf("ByRequest(%s): the key differs (-want +got):\n%s", id, diff)
		}
	}
	want("create-1", c, k)
	k, _ = s.mustRoll(k)
	want("create-1", c, k)

	k = s.mustStep(k, kms.Deleted)
	want("create-1", c, k)
	purge := s.newChange(k, kms.Purged)
	purge.RequestID = "purge-1"
	if err := s.store.Apply(s.Context(), purge, nil, nil); err != nil {
		s.Fatal(err)
	}
	got, gone, err := s.store.ByRequest(s.Context(), "purge-1")
	if err != nil || !cmp.Equal(got, purge) || gone.Name != "k" || !cmp.Equal(gone.Last, purge) {
		s.Errorf("ByRequest of a purge = %+v, %+v, %v; want the change, and a key whose last change it is", got, gone, err)
	}
	got, gone, err = s.store.ByRequest(s.Context(), "create-1")
	if err != nil || !cmp.Equal(got, c) || !cmp.Equal(gone.Last, purge) {
		s.Errorf("ByRequest of a purged key's creation = %+v, %+v, %v; want the change, and a key whose last change is the purge", got, gone, err)
	}
}

func (s storeTest) order() {
	keys, err := s.store.Keys(s.Context())
	if err != nil || len(keys) != 0 {
		s.Errorf("Keys of an empty Store = %v, %v", keys, err)
	}
	b, _ := s.mustCreate("b")
	upper, _ := s.mustCreate("C")
	a, _ := s.mustCreate("a")
	accent, _ := s.mustCreate("ä")
	purged, _ := s.mustCreate("purged")
	s.mustStep(s.mustStep(purged, kms.Deleted), kms.Purged)
	b = s.mustStep(b, kms.Deleted)
	a, _ = s.mustRoll(a)
	keys, err = s.store.Keys(s.Context())
	if diff := cmp.Diff([]kms.Key{upper, a, b, accent}, keys); err != nil || diff != "" {
		s.Errorf("Keys: error %v, difference from the order of bytes (-want +got):\n%s", err, diff)
	}
}

func (s storeTest) resultsAreTheCallers() {
	c, k, v := s.prepare("k")
	given := v
	given.Sealed = append([]byte(nil), v.Sealed...)
	if err := s.store.Apply(s.Context(), c, &k, &given); err != nil {
		s.Fatal(err)
	}
	clear(given.Sealed)
	s.wantVersions(k, v)
	got, err := s.store.Current(s.Context(), k.ID)
	if err != nil {
		s.Fatal(err)
	}
	clear(got.Sealed)
	key, err := s.store.Key(s.Context(), "k")
	if err != nil {
		s.Fatal(err)
	}
	key.Attributes["new"] = "value"
	s.wantKey(k)
	s.wantVersions(k, v)
}

func (s storeTest) canceledBefore() {
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	c, k, v := s.prepare("k")
	err := s.store.Apply(ctx, c, &k, &v)
	s.wantError(err, context.Canceled, "Apply with a context that has ended")
	_, err = s.store.Key(s.Context(), "k")
	s.wantError(err, kms.ErrKeyNotFound, "Key after that")
}

func (s storeTest) concurrentCreates() {
	made := concurrently(8, func() error {
		c, k, v := s.prepare("k")
		return s.store.Apply(s.Context(), c, &k, &v)
	})
	wantOneMade(s.T, made, func(err error) bool { return errors.Is(err, kms.ErrKeyExists) || isBusy(err) })
}

func (s storeTest) concurrentRolls() {
	k, _ := s.mustCreate("k")
	made := concurrently(8, func() error {
		c := s.newChange(k, kms.Rolled)
		v := s.newVersion(k, 1, &c)
		return s.store.Apply(s.Context(), c, nil, &v)
	})
	wantOneMade(s.T, made, func(err error) bool { return errors.Is(err, kms.ErrConflict) || isBusy(err) })
	versions, err := s.store.Versions(s.Context(), k.ID)
	if err != nil || len(versions) != 2 {
		s.Errorf("%d versions, error %v; want 2", len(versions), err)
	}
}
