package hazards_test

import (
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
	p.AwaitHeard(t)
	name, material := p.Active.MustCreate(t)
	if p.Passive.MustServe(t, name) != material {
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

// acknowledged is an error unless the host answered 503: it refused the write, or does not know its outcome. A success is one, and so is every
// other answer, and none at all.
func acknowledged(a pairtest.Answer) error {
	if a.Status != http.StatusServiceUnavailable {
		return fmt.Errorf("a write was answered with %v", a)
	}
	return nil
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
