package kmstest

import (
	"log/slog"
	"testing"

	"keytrustee/kms"
)

// Rig is a Service and what it is made of.
type Rig struct {
	*kms.Service
	Store    *MemStore
	Sealer   *Sealer
	Policy   *Policy
	Recorder *Recorder
	Gate     *Gate
}

// NewService returns a Service whose gate is open and which allows everybody everything. Each change may alter its
// Config. When the test ends the Store is closed, and every attempt must have ended.
func NewService(t testing.TB, change ...func(*kms.Config)) *Rig {
	t.Helper()
	r := &Rig{Store: NewMemStore(), Sealer: NewSealer(), Policy: &Policy{}, Recorder: &Recorder{}, Gate: NewGate()}
	r.Service = r.Restart(t, change...)
	t.Cleanup(r.Store.Close)
	return r
}

// Restart returns a Service of a new process on the same Store and the same rest.
func (r *Rig) Restart(t testing.TB, change ...func(*kms.Config)) *kms.Service {
	t.Helper()
	config := kms.Config{
		Store: r.Store, Sealer: r.Sealer, Policy: r.Policy, Recorder: r.Recorder, Gate: r.Gate,
		Host: "kt01", Logger: slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(&config)
	}
	s, err := kms.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Wait)
	return s
}

// User is a principal of that name.
func User(name string) kms.Principal {
	return kms.Principal{Short: name, Full: name, Method: kms.Simple, Addr: "192.0.2.1"}
}

// Call is a delivery of a write by that user, without a request's id.
func Call(user string) kms.Call { return kms.Call{Principal: User(user)} }
