package kms_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"keytrustee/kms"
	"keytrustee/kms/kmstest"
)

func TestWarmCacheReadsNothing(t *testing.T) {
	r := kmstest.NewService(t)
	create(t, r.Service, alice, "k").must(t).hand.Told()
	use := func() {
		t.Helper()
		eeks, err := r.GenerateEEK(t.Context(), alice.Principal, "k", 3)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.DecryptEEK(t.Context(), alice.Principal, eeks[0]); err != nil {
			t.Fatal(err)
		}
	}
	use()
	reads, opened := r.Store.Reads(), r.Sealer.Opened.Load()
	for range 100 {
		use()
	}
	if r.Store.Reads() != reads || r.Sealer.Opened.Load() != opened {
		t.Errorf("a warm cache read the Store %d times and opened %d versions", r.Store.Reads()-reads, r.Sealer.Opened.Load()-opened)
	}
	r.Invalidate()
	use()
	if r.Store.Reads() == reads || r.Sealer.Opened.Load() != opened {
		t.Error("Invalidate must drop the names, and keep what is opened")
	}
}

func TestCacheIsBounded(t *testing.T) {
	r := kmstest.NewService(t, func(c *kms.Config) { c.CachedKeys = 10 })
	for i := range 50 {
		name := kms.KeyName(fmt.Sprint("k", i))
		create(t, r.Service, alice, string(name)).must(t).hand.Told()
		if _, err := r.CurrentKey(t.Context(), alice.Principal, name); err != nil {
			t.Fatal(err)
		}
	}
	opened := r.Sealer.Opened.Load()
	for i := range 50 {
		if _, err := r.KeyVersion(t.Context(), alice.Principal, kms.VersionName(fmt.Sprintf("k%d@0", i))); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.Sealer.Opened.Load() - opened; n != 50 { // in this order each is given up before it is asked for
		t.Errorf("%d of 50 were opened again", n)
	}
}

// TestCacheForgetsWhatWasDeleted: the material of a key that was deleted here is in memory no longer, and only that.
func TestCacheForgetsWhatWasDeleted(t *testing.T) {
	r := kmstest.NewService(t)
	for _, name := range []string{"a", "b"} {
		create(t, r.Service, alice, name).must(t).hand.Told()
		if _, err := r.CurrentKey(t.Context(), alice.Principal, kms.KeyName(name)); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.Opened(); n != 2 {
		t.Fatalf("%d versions are in memory; want 2", n)
	}
	remove(t, r.Service, alice, "a").must(t).hand.Told()
	if n := r.Opened(); n != 1 {
		t.Errorf("%d versions are in memory after one of two keys was deleted; want 1", n)
	}
}

// pausingStore lets a test step in between the reading of the Store and the filling of the cache.
type pausingStore struct {
	*kmstest.MemStore
	after func()
}

func (s *pausingStore) pause() {
	if f := s.after; f != nil {
		s.after = nil
		f()
	}
}

func (s *pausingStore) Key(ctx context.Context, name kms.KeyName) (kms.Key, error) {
	k, err := s.MemStore.Key(ctx, name)
	s.pause()
	return k, err
}

func (s *pausingStore) Current(ctx context.Context, key kms.ID) (kms.SealedVersion, error) {
	v, err := s.MemStore.Current(ctx, key)
	s.pause()
	return v, err
}

func (s *pausingStore) Version(ctx context.Context, name kms.VersionName) (kms.SealedVersion, kms.Key, error) {
	v, k, err := s.MemStore.Version(ctx, name)
	s.pause()
	return v, k, err
}

// The host has two Services on one Store, as the pair has: what the other changed is seen after Invalidate, also by a
// reading that was under way.
func TestFillOfAnOlderGeneration(t *testing.T) {
	active := kmstest.NewService(t)
	store := &pausingStore{MemStore: active.Store}
	passive := active.Restart(t, func(c *kms.Config) { c.Store = store })
	create(t, active.Service, alice, "k").must(t).hand.Told()
	ctx, p := t.Context(), alice.Principal

	store.after = func() {
		roll(t, active.Service, alice, "k").must(t).hand.Told()
		passive.Invalidate()
	}
	if _, err := passive.Metadata(ctx, p, "k"); err != nil {
		t.Fatal(err)
	}
	if m, err := passive.Metadata(ctx, p, "k"); err != nil || m.Versions != 2 {
		t.Errorf("Metadata has %d versions, %v; want 2", m.Versions, err)
	}
	if _, err := passive.Metadata(ctx, p, "k"); err != nil { // the key is remembered, its current version is not
		t.Fatal(err)
	}
	store.after = func() {
		roll(t, active.Service, alice, "k").must(t).hand.Told()
		passive.Invalidate()
	}
	if _, err := passive.CurrentKey(ctx, p, "k"); err != nil {
		t.Fatal(err)
	}
	if v, err := passive.CurrentKey(ctx, p, "k"); err != nil || v.Name != "k@2" {
		t.Errorf("CurrentKey is %s, %v; want k@2", v.Name, err)
	}
	store.after = func() {
		remove(t, active.Service, alice, "k").must(t).hand.Told()
		passive.Invalidate()
	}
	if _, err := passive.KeyVersion(ctx, p, "k@0"); err != nil {
		t.Fatal(err)
	}
	if _, err := passive.KeyVersion(ctx, p, "k@0"); !errors.Is(err, kms.ErrVersionNotFound) {
		t.Errorf("KeyVersion after the deletion: %v; want %v", err, kms.ErrVersionNotFound)
	}
}

// The same, when the Service itself made the change.
func TestFillDuringAWriteOfItsOwn(t *testing.T) {
	store := &pausingStore{MemStore: kmstest.NewMemStore()}
	r := kmstest.NewService(t, func(c *kms.Config) { c.Store = store })
	create(t, r.Service, alice, "k").must(t).hand.Told()
	store.after = func() { roll(t, r.Service, alice, "k").must(t).hand.Told() }
	if _, err := r.Metadata(t.Context(), alice.Principal, "k"); err != nil {
		t.Fatal(err)
	}
	if m, err := r.Metadata(t.Context(), alice.Principal, "k"); err != nil || m.Versions != 2 {
		t.Errorf("Metadata has %d versions, %v; want 2", m.Versions, err)
	}
}

// After a roll is answered nobody is given an older version, and after a deletion nobody is given any.
func TestReadersAndWritersAtOnce(t *testing.T) {
	r := kmstest.NewService(t)
	create(t, r.Service, alice, "k").must(t).hand.Told()
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := r.GenerateEEK(t.Context(), alice.Principal, "k", 1); err != nil && !errors.Is(err, kms.ErrKeyNotFound) {
					t.Error(err)
				}
				if _, err := r.KeyVersion(t.Context(), alice.Principal, "k@0"); err != nil && !errors.Is(err, kms.ErrVersionNotFound) {
					t.Error(err)
				}
			}
		})
	}
	for i := range 100 {
		rolled := roll(t, r.Service, alice, "k").must(t)
		rolled.hand.Told()
		if v, err := r.CurrentKey(t.Context(), alice.Principal, "k"); err != nil || v.Name != rolled.version.Name {
			t.Fatalf("current is %s after a roll to %s, %v", v.Name, rolled.version.Name, err)
		}
		remove(t, r.Service, alice, "k").must(t).hand.Told()
		wantAbsent(t, r, "k")
		if _, err := r.UndeleteKey(t.Context(), withID("alice", fmt.Sprint(i)), "k"); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	readers.Wait()
}
