package kmstest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keytrustee/kms"
)

// storeTest is one test of TestStore; its methods of this file are the steps that such tests are made of.
type storeTest struct {
	*testing.T
	store  kms.Store
	sealer *Sealer
}

// at is a time with the precision that a Store keeps.
func at(second int) time.Time {
	return time.Date(2026, 11, 24, 10, 0, second, 123e6, time.UTC)
}

func (s storeTest) newChange(k kms.Key, kind kms.ChangeKind) kms.Change {
	seq := 0
	if kind != kms.Created {
		seq = k.Last.Seq + 1
	}
	return kms.Change{ID: kms.NewID(), KeyID: k.ID, Seq: seq, Kind: kind, At: at(seq), By: "alice via hive/h@R", From: "192.0.2.1"}
}

func (s storeTest) newVersion(k kms.Key, n int, c *kms.Change) kms.SealedVersion {
	s.Helper()
	c.Version = kms.NewID()
	v, err := s.sealer.Seal(kms.VersionRef{ID: c.Version, KeyID: k.ID, Key: k.Name, Name: kms.NthVersionName(k.Name, n),
		Ordinal: n, Cipher: k.Cipher}, kms.NewMaterial(fmt.Appendf(nil, "material %7d", n)))
	if err != nil {
		s.Fatal(err)
	}
	v.Created = *c
	return v
}

// prepare returns a key that is not in the Store yet.
func (s storeTest) prepare(name kms.KeyName) (kms.Change, kms.Key, kms.SealedVersion) {
	s.Helper()
	text := "what it is for\n\"quoted\""
	k := kms.Key{ID: kms.NewID(), CreatedBy: "alice via hive/h@R", Metadata: kms.Metadata{Name: name, Cipher: "AES/CTR/NoPadding",
		BitLength: 128, Description: &text, Attributes: map[string]string{"key.acl.name": string(name), "": "x"},
		Created: at(0), Versions: 1}}
	c := s.newChange(k, kms.Created)
	v := s.newVersion(k, 0, &c)
	k.Last = c
	return c, k, v
}

func (s storeTest) mustCreate(name kms.KeyName) (kms.Key, kms.SealedVersion) {
	s.Helper()
	c, k, v := s.prepare(name)
	if err := s.store.Apply(s.Context(), c, &k, &v); err != nil {
		s.Fatalf("Apply(created %q): %v", name, err)
	}
	return k, v
}

// mustStep makes a change that has no version, and returns the key as it then is.
func (s storeTest) mustStep(k kms.Key, kind kms.ChangeKind) kms.Key {
	s.Helper()
	c := s.newChange(k, kind)
	if err := s.store.Apply(s.Context(), c, nil, nil); err != nil {
		s.Fatalf("Apply(%s %q): %v", kind, k.Name, err)
	}
	k.Last = c
	return k
}

func (s storeTest) mustRoll(k kms.Key) (kms.Key, kms.SealedVersion) {
	s.Helper()
	c := s.newChange(k, kms.Rolled)
	v := s.newVersion(k, k.Versions, &c)
	if err := s.store.Apply(s.Context(), c, nil, &v); err != nil {
		s.Fatalf("Apply(rolled %q): %v", k.Name, err)
	}
	k.Last = c
	k.Versions++
	return k, v
}

func (s storeTest) wantKey(want kms.Key) {
	s.Helper()
	got, err := s.store.Key(s.Context(), want.Name)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		s.Errorf("Key(%q): error %v, difference (-want +got):\n%s", want.Name, err, diff)
	}
}

func (s storeTest) wantVersions(k kms.Key, want ...kms.SealedVersion) {
	s.Helper()
	got, err := s.store.Versions(s.Context(), k.ID)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		s.Errorf("Versions(%q): error %v, difference (-want +got):\n%s", k.Name, err, diff)
	}
	current, err := s.store.Current(s.Context(), k.ID)
	if diff := cmp.Diff(want[len(want)-1], current); err != nil || diff != "" {
		s.Errorf("Current(%q): error %v, difference (-want +got):\n%s", k.Name, err, diff)
	}
	for _, v := range want {
		byName, key, err := s.store.Version(s.Context(), v.Name)
		if diff := cmp.Diff(v, byName); err != nil || diff != "" {
			s.Errorf("Version(%q): error %v, difference (-want +got):\n%s", v.Name, err, diff)
		}
		if diff := cmp.Diff(k, key); diff != "" {
			s.Errorf("Version(%q): its key differs (-want +got):\n%s", v.Name, diff)
		}
	}
}

func (s storeTest) wantError(err, want error, what string) {
	s.Helper()
	if !errors.Is(err, want) {
		s.Errorf("%s: error %v; want %v", what, err, want)
	}
}

func concurrently(n int, f func() error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = f() })
	}
	wg.Wait()
	return errs
}

func wantOneMade(t *testing.T, errs []error, refused func(error) bool) {
	t.Helper()
	made := 0
	for _, err := range errs {
		switch {
		case err == nil:
			made++
		case !refused(err):
			t.Errorf("refused with %v", err)
		}
	}
	if made != 1 {
		t.Errorf("%d of %d were made; want 1", made, len(errs))
	}
}

func isBusy(err error) bool {
	e, ok := errors.AsType[*kms.ReadOnlyError](err)
	return ok && e.Reason == kms.ReasonBusy
}
