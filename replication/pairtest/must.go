package pairtest

import (
	"encoding/base64"
	"net/http"
	"slices"
	"testing"
	"time"
)

// RefusedLimit is the time in which a write is refused that can not be made safe: it is promised.
const RefusedLimit = 2 * time.Second

// MustCreate makes a key, and returns its name and the material of its version 0. It ends the test if the key is not acknowledged and served.
func (n *Node) MustCreate(t testing.TB) (name, material string) {
	t.Helper()
	name = NewKey()
	if a := n.Create(t, name); a.Status != http.StatusCreated {
		t.Fatalf("creating %s at %s: %v", name, n.Name, a)
	}
	return name, n.MustServe(t, name)
}

// MustServe returns the material of version 0, and ends the test if the host does not serve it.
func (n *Node) MustServe(t testing.TB, name string) (material string) {
	t.Helper()
	a, material := n.Version(t, name, 0)
	if raw, err := base64.RawURLEncoding.DecodeString(material); err != nil || len(raw) != 16 {
		t.Fatalf("%s serves %s: %v", n.Name, name, a)
	}
	return material
}

// MustNotServe ends the test if the host serves the key, which was never acknowledged.
func (n *Node) MustNotServe(t testing.TB, name string) {
	t.Helper()
	if a, material := n.Version(t, name, 0); material != "" {
		t.Fatalf("%s serves %s, which was never acknowledged: %v", n.Name, name, a)
	}
}

// AwaitServed returns when a host that was just started serves the key. It ends the test if the host serves another material, or says of a
// read until then anything but that the other host may be asked.
func (n *Node) AwaitServed(t testing.TB, name, material string) {
	t.Helper()
	Await(t, 15*time.Second, n.Name+" serves "+name, func() bool {
		a, got := n.Version(t, name, 0)
		switch {
		case a.Status == http.StatusOK && got != material:
			t.Fatalf("%s serves other material, or none: %s", n.Name, a)
		case a.Err == nil && a.Status != http.StatusOK && (a.Status != http.StatusServiceUnavailable || a.Class != askTheOther):
			t.Fatalf("%s, started cold: %v", n.Name, a)
		}
		return a.Status == http.StatusOK
	})
}

// What a refusal tells Hadoop's client: to end the call, for no host can do it; to ask the other host; that the other one would say the same.
const (
	endTheCall  = "java.lang.IllegalStateException"
	askTheOther = "org.apache.hadoop.ipc.StandbyException"
	theSame     = "java.io.IOException"
)

// nobodyCan are reasons for which no host can make a write: the call has to end, for a client that asked on would find nobody.
var nobodyCan = []string{"no_passive", "passive_daemon_down", "passive_unreachable", "active_unreachable"}

// MustRefuse creates a key, which must be refused within RefusedLimit for one of the reasons, in a way that a client understands. It
// returns the name of that key.
func (n *Node) MustRefuse(t testing.TB, reasons ...string) (name string) {
	t.Helper()
	name = NewKey()
	a := n.Create(t, name)
	classes := []string{endTheCall, askTheOther, theSame}
	if slices.Contains(nobodyCan, a.Reason) {
		classes = classes[:1]
	}
	if a.Status != http.StatusServiceUnavailable || !slices.Contains(classes, a.Class) || !slices.Contains(reasons, a.Reason) ||
		a.Header.Get("Retry-After") == "" || a.Took > RefusedLimit {
		t.Fatalf("create at %s: %v, Retry-After %q; want a refusal in %v for one of %v", n.Name, a, a.Header.Get("Retry-After"), RefusedLimit, reasons)
	}
	t.Logf("%s: %v", n.Name, a)
	return name
}
