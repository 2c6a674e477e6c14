package hazards_test

import (
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

// shared is the pair that the tests hurt in turn, and life is as long as it; nil before the first one that needs it.
var (
	shared *pairtest.Pair
	life   *pairtest.Life
)

func TestMain(m *testing.M) {
	status := m.Run()
	if shared != nil {
		life.End()
	}
	os.Exit(status)
}

// confirmed returns the pair, confirmed. At the end of the test it is brought back to that; where it can not be, the test has failed and the
// next one begins with a pair of its own.
func confirmed(t *testing.T) *pairtest.Pair {
	t.Helper()
	if shared == nil {
		life = &pairtest.Life{TB: t}
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
			life.FailIn(t)
			life.End() // and shows the ends of all logs
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
