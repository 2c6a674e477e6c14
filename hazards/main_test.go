package hazards_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

// shared is the pair that the tests hurt in turn, and life is as long as it; nil before the first one that needs it.
var (
	shared *pairtest.Pair
	life   *lifetime
)

func TestMain(m *testing.M) {
	status := m.Run()
	if shared != nil {
		life.end()
	}
	os.Exit(status)
}

// confirmed returns the pair, confirmed. At the end of the test it is brought back to that; where it can not be, the test has failed and the
// next one begins with a pair of its own.
func confirmed(t *testing.T) *pairtest.Pair {
	t.Helper()
	if shared == nil {
		life = &lifetime{TB: t}
		shared = pairtest.NewHosts(life, pairtest.Options{Clock: true})
		life.TB = nil
	}
	p := shared
	t.Cleanup(func() { bringBack(t, p) })
	return p
}

func bringBack(t *testing.T, p *pairtest.Pair) {
	t.Helper()
	back := false
	defer func() {
		if !back {
			life.TB, life.failed = t, true
			life.end() // and shows the ends of all logs
			shared = nil
		}
	}()
	p.Up(t)
	name, material := create(t, p.Active)
	if served(t, p.Passive, name) != material {
		t.Fatal("in the end the hosts serve different materials")
	}
	back = !t.Failed()
}

// lifetime is a testing.TB that ends after the test that began it: with the process, or with a pair that can not be used any more. TB is the
// test that began it, nil once that may have ended.
type lifetime struct {
	testing.TB
	ends   []func()
	failed bool
}

func (l *lifetime) Helper()          {}
func (l *lifetime) Failed() bool     { return l.failed }
func (l *lifetime) Cleanup(f func()) { l.ends = append(l.ends, f) }

func (l *lifetime) TempDir() string {
	dir, err := os.MkdirTemp("", "hazards-")
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (l *lifetime) Logf(format string, args ...any) {
	if l.TB != nil {
		l.TB.Logf(format, args...)
	}
}

func (l *lifetime) Errorf(format string, args ...any) {
	l.failed = true
	if l.TB != nil {
		l.TB.Errorf(format, args...)
		return
	}
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

func (l *lifetime) Fatal(args ...any) { l.Fatalf("%s", fmt.Sprintln(args...)) }

func (l *lifetime) Fatalf(format string, args ...any) {
	if l.TB != nil {
		l.failed = true
		l.TB.Fatalf(format, args...)
	}
	panic(fmt.Sprintf(format, args...))
}

func (l *lifetime) end() {
	for _, f := range slices.Backward(l.ends) {
		f()
	}
	l.ends = nil
}

// create makes a key that must be acknowledged, and returns its name and its material.
func create(t *testing.T, n *pairtest.Node) (name, material string) {
	t.Helper()
	name = pairtest.NewKey()
	if a := n.Create(t, name); a.Status != http.StatusCreated {
		t.Fatalf("creating %s at %s: %v", name, n.Name, a)
	}
	return name, served(t, n, name)
}

// served returns the material of version 0 and ends the test if the host does not serve it.
func served(t *testing.T, n *pairtest.Node, name string) string {
	t.Helper()
	a, material := n.Version(t, name, 0)
	if material == "" {
		t.Fatalf("%s serves %s: %v", n.Name, name, a)
	}
	return material
}

// absent fails the test if the host serves the key.
func absent(t *testing.T, n *pairtest.Node, name string) {
	t.Helper()
	if a, material := n.Version(t, name, 0); material != "" {
		t.Errorf("%s serves %s, which was never acknowledged: %v", n.Name, name, a)
	}
}

// refused creates a key, which must be refused in two seconds for one of the reasons, and returns its name.
func refused(t *testing.T, n *pairtest.Node, reasons ...string) (name string) {
	t.Helper()
	name = pairtest.NewKey()
	a := n.Create(t, name)
	if a.Status != http.StatusServiceUnavailable || a.Class == "" || !slices.Contains(reasons, a.Reason) ||
		a.Header.Get("Retry-After") == "" || a.Took > 2*time.Second {
		t.Fatalf("create at %s: %v, Retry-After %q; want a refusal in 2 s for %v", n.Name, a, a.Header.Get("Retry-After"), reasons)
	}
	t.Logf("%s: %v", n.Name, a)
	return name
}

// acknowledged is an error if the answer says that the write was made.
func acknowledged(a pairtest.Answer) error {
	if a.Status != http.StatusServiceUnavailable {
		return fmt.Errorf("a write was answered with %v", a)
	}
	return nil
}

// The gate's bounds, counted from the moment at which the fault is there, or gone, for the kernel.
const (
	shutLimit = 1500 * time.Millisecond
	openLimit = 3 * time.Second
)

// awaitShut returns when the active's gate is shut for one of the reasons, and what it says then. It fails the test if that is not within the
// limit from since on.
func awaitShut(t *testing.T, p *pairtest.Pair, since time.Time, reasons ...string) (sentence string) {
	t.Helper()
	reason, sentence := awaitComplaint(t, p.Active, reasons...)
	took := time.Since(since)
	if t.Logf("the gate was shut after %v: %s", took.Round(time.Millisecond), reason); took > shutLimit {
		t.Errorf("the gate was shut after %v", took)
	}
	return sentence
}

// awaitComplaint returns why the host takes no writes, in both forms, once it is for one of the reasons.
func awaitComplaint(t *testing.T, n *pairtest.Node, reasons ...string) (reason, sentence string) {
	t.Helper()
	pairtest.Await(t, 15*time.Second, fmt.Sprintf("%s takes no writes for one of %v", n.Name, reasons), func() bool {
		reason, sentence = complaint(t, n)
		return slices.Contains(reasons, reason)
	})
	return reason, sentence
}

// complaint is why the host takes no writes, empty if it does.
func complaint(t *testing.T, n *pairtest.Node) (reason, sentence string) {
	t.Helper()
	var health struct {
		Writes struct{ Reason, Message string }
	}
	a := n.Do(t, http.MethodGet, "/v1/sys/health", nil, nil)
	if a.Err != nil || json.Unmarshal(a.Body, &health) != nil {
		return "no answer", a.String()
	}
	return health.Writes.Reason, health.Writes.Message
}

// awaitOpen returns when the active takes writes again, and fails the test if that is not within the limit from since on.
func awaitOpen(t *testing.T, p *pairtest.Pair, since time.Time) {
	t.Helper()
	pairtest.Await(t, 30*time.Second, "the gate is open", func() bool { return p.Active.Writable(t) })
	took := time.Since(since)
	if t.Logf("the gate was open after %v", took.Round(time.Millisecond)); took > openLimit {
		t.Errorf("the gate was open after %v", took)
	}
}

// stays looks for the time given, again and again, and ends the test at the first breach.
func stays(t *testing.T, d time.Duration, what string, breach func() error) {
	t.Helper()
	looks := 0
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err := breach(); err != nil {
			t.Fatalf("it did not stay so that %s: %v", what, err)
		}
		looks++
	}
	t.Logf("for %v, in %d looks, %s", d, looks, what)
}
