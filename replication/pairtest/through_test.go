package pairtest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keytrustee/replication/pairtest"
)

// TestThroughThePassive: the passive dies before, while and after it passes a success on. Whoever asks the active afterwards, of one creation
// never two are told.
func TestThroughThePassive(t *testing.T) {
	p := pairtest.New(t)
	t.Run("dies before the answer", func(t *testing.T) { diesWaiting(t, p) })
	for _, after := range []time.Duration{0, 2 * time.Millisecond, 8 * time.Millisecond, 16 * time.Millisecond} {
		t.Run("dies "+after.String()+" after both hosts could answer", func(t *testing.T) { diesAnswering(t, p, after) })
	}
	t.Run("dies after the answer", func(t *testing.T) { diesAnswered(t, p) })
	t.Run("stood still for 3 s", func(t *testing.T) { stoodStill(t, p) })
}

// held lets a client create a key through the passive, and returns when the active has it and must wait with its answer.
func held(t *testing.T, p *pairtest.Pair) (name string, answer <-chan pairtest.Answer, release func()) {
	t.Helper()
	name, release = pairtest.NewKey(), p.HoldAnswers(t)
	answers := make(chan pairtest.Answer, 1)
	go func() { answers <- p.Passive.Create(t, name) }()
	admin := p.Active.SQL(t)
	pairtest.Await(t, 5*time.Second, "the active has the key", func() bool {
		var there int
		err := admin.QueryRow(t.Context(), "SELECT count(*) FROM key WHERE name = $1", name).Scan(&there)
		return err == nil && there == 1
	})
	return name, answers, release
}

func diesWaiting(t *testing.T, p *pairtest.Pair) {
	name, answer, release := held(t, p)
	p.Passive.Kill(t, pairtest.Keytrusteed)
	release()
	if a := <-answer; a.Err == nil {
		t.Fatalf("a host that was killed answered %v", a)
	} else {
		t.Logf("the client of the passive: %v", a)
	}
	p.Up(t)
	if a := p.Active.Create(t, name); a.Status != http.StatusCreated {
		t.Errorf("the repeat of a write that nobody was told of: %v", a)
	}
	if a := p.Active.Create(t, name); a.Status != http.StatusConflict {
		t.Errorf("another caller after the repeat: %v", a)
	}
}

func diesAnswering(t *testing.T, p *pairtest.Pair, after time.Duration) {
	name, answer, release := held(t, p)
	daemon := p.Passive.Pids[pairtest.Keytrusteed]
	release()
	time.Sleep(after)
	if err := unix.Kill(daemon, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	told := []pairtest.Answer{<-answer}
	second := make(chan pairtest.Answer, 1)
	go func() { second <- p.Active.Create(t, name) }()
	p.Up(t)
	told = append(told, <-second, p.Active.Create(t, name), p.Passive.Create(t, name))
	created := 0
	for _, a := range told {
		if a.Err == nil && a.Status == http.StatusCreated {
			created++
		}
		t.Log(a)
	}
	if last := told[len(told)-1]; created > 1 || last.Status != http.StatusConflict {
		t.Errorf("%d callers were told that they made %s, the last one %v", created, name, last)
	}
}

func diesAnswered(t *testing.T, p *pairtest.Pair) {
	name := pairtest.NewKey()
	if a := p.Passive.Create(t, name); a.Status != http.StatusCreated {
		t.Fatal(a)
	}
	if err := unix.Kill(p.Passive.Pids[pairtest.Keytrusteed], unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if a := p.Active.Create(t, name); a.Status == http.StatusCreated {
		t.Errorf("a second caller: %v", a)
	} else {
		t.Log(a)
	}
	p.Up(t)
	if a := p.Active.Create(t, name); a.Status != http.StatusConflict || !strings.Contains(a.Message, "hdfs") {
		t.Errorf("a second caller, later: %v", a)
	}
}

// stoodStill: a passive that has seen nothing for a while, since it could not look, does not say that the active is gone, and ends no call.
func stoodStill(t *testing.T, p *pairtest.Pair) {
	p.Passive.Freeze(t)
	frozen := time.Now()
	answers := make(chan pairtest.Answer, 3)
	for range cap(answers) {
		go func() { answers <- p.Passive.Create(t, pairtest.NewKey()) }() // the first things that it sees
	}
	pairtest.Await(t, 10*time.Second, "three seconds have passed", func() bool { return time.Since(frozen) > 3*time.Second })
	p.Passive.Thaw(t)
	say := func(a pairtest.Answer) {
		t.Logf("the passive after %v: %v", time.Since(frozen).Round(time.Millisecond), a)
		if a.Err != nil || a.Reason == "active_unreachable" || a.Class == "java.lang.IllegalStateException" {
			t.Errorf("a passive that stood still says %v", a)
		}
	}
	for range cap(answers) {
		say(<-answers)
	}
	pairtest.Await(t, 10*time.Second, "a create through the passive", func() bool {
		a := p.Passive.Create(t, pairtest.NewKey())
		say(a)
		return a.Status == http.StatusCreated
	})
}
