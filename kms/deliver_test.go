package kms_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"keytrustee/kms"
	"keytrustee/kms/kmstest"
)

// answer is what a delivery got.
type answer struct {
	version kms.KeyVersion
	hand    *kms.Hand
	err     error
}

func create(t *testing.T, s *kms.Service, c kms.Call, name string) answer {
	c.Body = []byte(name)
	v, h, err := s.CreateKey(t.Context(), c, kms.CreateRequest{Name: name})
	return answer{v, h, err}
}

func roll(t *testing.T, s *kms.Service, c kms.Call, name kms.KeyName) answer {
	v, h, err := s.RollNewVersion(t.Context(), c, name, kms.Material{})
	return answer{v, h, err}
}

func remove(t *testing.T, s *kms.Service, c kms.Call, name kms.KeyName) answer {
	h, err := s.DeleteKey(t.Context(), c, name)
	return answer{hand: h, err: err}
}

func begin(deliver func() answer) <-chan answer {
	c := make(chan answer, 1)
	go func() { c <- deliver() }()
	return c
}

func (a answer) must(t *testing.T) answer {
	t.Helper()
	if a.err != nil {
		t.Fatalf("refused: %v", a.err)
	}
	return a
}

func (a answer) want(t *testing.T, target error) {
	t.Helper()
	if !errors.Is(a.err, target) {
		t.Errorf("answered %q, error %v; want error %v", a.version.Name, a.err, target)
	}
}

func (a answer) wantReason(t *testing.T, reason kms.Reason) {
	t.Helper()
	wantReason(t, a.err, reason)
}

func wantReason(t *testing.T, err error, reason kms.Reason) {
	t.Helper()
	if e, ok := errors.AsType[*kms.ReadOnlyError](err); !ok || e.Reason != reason {
		t.Errorf("error %v; want a refusal with reason %s", err, reason)
	}
}

func wantInvalid(t *testing.T, err error, field string) {
	t.Helper()
	if e, ok := errors.AsType[*kms.InvalidError](err); !ok || e.Field != field {
		t.Errorf("error %v; want an *InvalidError of %s", err, field)
	}
}

func versions(t *testing.T, s *kms.Service, name kms.KeyName) []kms.VersionName {
	t.Helper()
	all, err := s.KeyVersions(t.Context(), kmstest.User("auditor"), name)
	if err != nil {
		t.Fatal(err)
	}
	var names []kms.VersionName
	for _, v := range all {
		names = append(names, v.Name)
	}
	return names
}

// held makes every change wait on one host until release is called.
func held(r *kmstest.Rig) (release func()) {
	hold := make(chan struct{})
	r.Store.OnApply(func(kms.Change) kmstest.Fault { return kmstest.Fault{Hold: hold} })
	return func() {
		r.Store.OnApply(nil)
		close(hold)
	}
}

var alice = kmstest.Call("alice")

func TestWriteInOrder(t *testing.T) {
	r := kmstest.NewService(t)
	create(t, r.Service, alice, "k").must(t).hand.Told()
	roll(t, r.Service, alice, "k").must(t).hand.Told()
	remove(t, r.Service, alice, "k").must(t).hand.Told()

	var got []string
	for _, e := range r.Recorder.Events() {
		got = append(got, string(e.Op)+" "+string(e.Result)+" "+e.Extra)
	}
	want := []string{
		"CREATE_KEY ATTEMPT UserProvidedMaterial:false Description:null",
		"CREATE_KEY OK UserProvidedMaterial:false Description:null",
		"ROLL_NEW_VERSION ATTEMPT UserProvidedMaterial:false",
		"ROLL_NEW_VERSION OK UserProvidedMaterial:false NewVersion:k@1",
		"DELETE_KEY ATTEMPT ",
		"DELETE_KEY OK ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("audit log:\n%q\nwant:\n%q", got, want)
	}
	e := r.Recorder.Events()
	if e[0].RequestID == "" || e[0].RequestID != e[1].RequestID || e[1].RequestID == e[2].RequestID {
		t.Error("ids do not tie each attempt to its outcome")
	}
}

// Each step of a write refuses before the next one is reached.
func TestOrderOfRefusals(t *testing.T) {
	r := kmstest.NewService(t)
	r.Gate.Close("no_passive", kms.ElsewhereNone)
	r.Recorder.Fail(func(kms.Event) error { return errors.New("disk full") })
	r.Policy.Deny("alice", string(kms.OpCreate))
	v, _, err := r.CreateKey(t.Context(), alice, kms.CreateRequest{Name: ""})
	wantInvalid(t, err, "name")
	if v.Material.Present() {
		t.Error("a refusal has material")
	}

	create(t, r.Service, alice, "k").wantReason(t, kms.ReasonAuditUnavailable) // the denial can not be recorded
	r.Recorder.Fail(nil)
	create(t, r.Service, alice, "k").want(t, kms.ErrDenied)
	r.Policy.Permit("alice", string(kms.OpCreate))

	r.Recorder.Fail(func(kms.Event) error { return errors.New("disk full") })
	create(t, r.Service, alice, "k").wantReason(t, kms.ReasonAuditUnavailable)
	r.Recorder.Fail(nil)
	create(t, r.Service, alice, "k").wantReason(t, "no_passive")
	r.Gate.SetWorld("")
	r.Gate.Open()
	create(t, r.Service, alice, "k").wantReason(t, kms.ReasonStarting)
	r.Gate.SetWorld("active 1")
	create(t, r.Service, alice, "k").must(t).hand.Told()

	last := r.Recorder.Events()
	if len(last) == 0 || last[len(last)-1].Result != kms.AuditOK {
		t.Error("the outcome is not on record")
	}
}

func TestGateShutsBeforeCommit(t *testing.T) {
	r := kmstest.NewService(t)
	r.Store.OnApply(func(kms.Change) kmstest.Fault {
		r.Gate.Close("passive_unreachable", kms.ElsewhereNone)
		return kmstest.Fault{Before: context.Canceled}
	})
	create(t, r.Service, alice, "k").wantReason(t, "passive_unreachable")
}

// Once the gate has shut nothing is begun: what was to be tried again is not.
func TestGateShutsBetweenTries(t *testing.T) {
	r := kmstest.NewService(t)
	tries := 0
	r.Store.OnApply(func(kms.Change) kmstest.Fault {
		tries++
		r.Gate.Close("passive_unreachable", kms.ElsewhereNone)
		return kmstest.Fault{Before: kms.ErrConflict}
	})
	create(t, r.Service, alice, "k").wantReason(t, "passive_unreachable")
	if tries != 1 {
		t.Errorf("%d tries; want 1", tries)
	}
}

func TestConflictIsReadAgain(t *testing.T) {
	r := kmstest.NewService(t)
	create(t, r.Service, alice, "k").must(t).hand.Told()
	applied := 0
	r.Store.OnApply(func(kms.Change) kmstest.Fault {
		if applied++; applied < 4 {
			return kmstest.Fault{Before: kms.ErrConflict}
		}
		return kmstest.Fault{}
	})
	if v := roll(t, r.Service, alice, "k").must(t); v.version.Name != "k@1" || applied != 4 {
		t.Errorf("rolled to %s with %d tries; want k@1 with 4", v.version.Name, applied)
	}
	r.Store.OnApply(func(kms.Change) kmstest.Fault { return kmstest.Fault{Before: kms.ErrConflict} })
	roll(t, r.Service, kmstest.Call("bob"), "k").wantReason(t, kms.ReasonBusy)
}

// A write whose outcome comes late is unknown at the deadline, on record when it comes, and then there for the repeat.
func TestOutcomeComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := kmstest.NewService(t)
		release := held(r)
		start := time.Now()
		create(t, r.Service, alice, "k").want(t, kms.ErrOutcomeUnknown)
		if waited := time.Since(start); waited != 5*time.Second {
			t.Errorf("unknown after %v; want 5s", waited)
		}
		if _, err := r.Metadata(t.Context(), kmstest.User("bob"), "k"); !errors.Is(err, kms.ErrKeyNotFound) {
			t.Errorf("an unconfirmed key: %v; want %v", err, kms.ErrKeyNotFound)
		}
		release()
		synctest.Wait()
		var results []kms.AuditResult
		for _, e := range r.Recorder.Events() {
			results = append(results, e.Result)
		}
		if want := []kms.AuditResult{kms.AuditAttempt, kms.AuditUnknown, kms.AuditOK}; !slices.Equal(results, want) {
			t.Errorf("audit results %v; want %v", results, want)
		}
		a := create(t, r.Service, alice, "k").must(t)
		a.hand.Told()
		if a.version.Name != "k@0" || !a.version.Material.Present() {
			t.Errorf("the repeat got %+v; want k@0 with its material", a.version)
		}
		if e := r.Recorder.Events(); !e[len(e)-1].Repeat {
			t.Error("the answer is not recorded as a repeat")
		}
		create(t, r.Service, alice, "k").want(t, kms.ErrKeyExists)
	})
}

// Another writer of the same key waits; what can not be told yet is busy, not "exists".
func TestAnotherWriterWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := kmstest.NewService(t)
		release := held(r)
		x := begin(func() answer { return create(t, r.Service, alice, "k") })
		synctest.Wait()
		asked := time.Now()
		create(t, r.Service, kmstest.Call("bob"), "k").wantReason(t, kms.ReasonBusy)
		if waited := time.Since(asked); waited > 2*time.Second {
			t.Errorf("bob was refused after %v", waited)
		}
		y := begin(func() answer { return create(t, r.Service, kmstest.Call("bob"), "k") })
		synctest.Wait()
		release()
		(<-y).want(t, kms.ErrKeyExists)
		(<-x).must(t)
	})
}

func TestUnknownForEver(t *testing.T) {
	r := kmstest.NewService(t)
	r.Store.OnApply(func(kms.Change) kmstest.Fault { return kmstest.Fault{Lost: true} })
	create(t, r.Service, alice, "k").want(t, kms.ErrOutcomeUnknown)
	r.Store.OnApply(nil)
	// Case 21: a new process, whose Store has the change on one host only.
	s := r.Restart(t)
	create(t, s, alice, "k").wantReason(t, kms.ReasonBusy)
	r.Store.Confirm()
	create(t, s, alice, "k").want(t, kms.ErrKeyExists)
}

// What nobody can know may be there: from then on the Store is asked again.
func TestUnknownIsNotRemembered(t *testing.T) {
	r := kmstest.NewService(t)
	create(t, r.Service, alice, "k").must(t).hand.Told()
	current := func() kms.VersionName {
		v, err := r.CurrentKey(t.Context(), alice.Principal, "k")
		if err != nil {
			t.Fatal(err)
		}
		return v.Name
	}
	current()
	r.Store.OnApply(func(kms.Change) kmstest.Fault { return kmstest.Fault{After: kms.ErrOutcomeUnknown} })
	roll(t, r.Service, alice, "k").want(t, kms.ErrOutcomeUnknown)
	if got := current(); got != "k@1" {
		t.Errorf("after a roll that may be there the current version is %s; the Store has k@1", got)
	}
}

func TestFailureOfTheStore(t *testing.T) {
	r := kmstest.NewService(t)
	broken := errors.New("syntax error at end of input")
	r.Store.OnApply(func(kms.Change) kmstest.Fault { return kmstest.Fault{Before: broken} })
	create(t, r.Service, alice, "k").want(t, broken)
	r.Store.OnApply(nil)
	create(t, r.Service, alice, "k").must(t)
}
