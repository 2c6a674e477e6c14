package hazards_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

// promote makes the passive the active by the operator's command, which says that the other host is off.
func promote(t *testing.T, n *pairtest.Node) {
	t.Helper()
	other := n.Other().Name
	pairtest.Await(t, 20*time.Second, n.Name+" is promoted", func() bool {
		out, errs, status := n.Ktadmin(t, "cluster", "promote", "--fenced", other, "--i-confirm", other+" is powered off")
		if status == 0 {
			t.Logf("%s: %s", n.Name, strings.TrimSpace(out))
		} else if !strings.Contains(errs, "active answers") && !strings.Contains(errs, "heard") {
			t.Logf("%s: status %d: %s", n.Name, status, errs)
		}
		return status == 0
	})
}

// ghostAt leaves a key on the active's disk that the passive does not have, and which nobody was told of.
func ghostAt(t *testing.T, p *pairtest.Pair) (name string) {
	t.Helper()
	p.Passive.Freeze(t, pairtest.PostgreSQL)
	name = pairtest.NewKey()
	admin := p.Active.SQL(t)
	done := make(chan pairtest.Answer, 1)
	go func() { done <- p.Active.Create(t, name) }()
	var backend int
	pairtest.Await(t, 5*time.Second, "a COMMIT waits for the passive", func() bool {
		return admin.QueryRow(t.Context(), "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query ILIKE 'commit%'").Scan(&backend) == nil
	})
	execute(t, admin, "SELECT pg_cancel_backend($1)", backend)
	pairtest.Await(t, 5*time.Second, "the active's PostgreSQL shows the key", func() bool { return keys(t, admin, name) == 1 })
	p.Passive.Kill(t, pairtest.Walreceiver) // before it reads what was sent to it
	return name
}

// servesNothing is an error if the host, which may not, answers for one of the keys or acknowledges a write.
func servesNothing(t *testing.T, n *pairtest.Node, names ...string) error {
	for _, name := range names {
		if a, material := n.Version(t, name, 0); material != "" || a.Err == nil && a.Status != http.StatusServiceUnavailable {
			return errors.New(n.Name + " answers for " + name + ": " + a.String())
		}
	}
	if a := n.Create(t, pairtest.NewKey()); a.Err == nil {
		return acknowledged(a)
	}
	return nil
}

// TestH10ExActive: the active dies with a key on its disk that only it has, the passive is promoted, and the old active comes back: first alone,
// then beside its successor. It never shows that key, never takes a write, and serves nothing any more once it has met the new epoch. What was
// acknowledged is all on the new active.
func TestH10ExActive(t *testing.T) {
	p := confirmed(t)
	known, material := p.Active.MustCreate(t)
	ghost := ghostAt(t, p)
	old, successor := p.Active, p.Passive
	old.Kill(t)
	successor.Thaw(t)
	successor.Kill(t)
	successor.Start(t)
	successor.AwaitServed(t, known, material)
	promote(t, successor)
	successor.AwaitServed(t, known, material)
	successor.MustRefuse(t, "no_passive")

	successor.Kill(t)
	old.Start(t) // nobody can tell it anything
	old.AwaitServed(t, known, material)
	stays(t, 2*time.Second, "it serves what both have, and acknowledges nothing", func() error {
		if _, got := old.Version(t, ghost, 0); got != "" {
			return errors.New("it serves a key that only it has")
		}
		return acknowledged(old.Create(t, pairtest.NewKey()))
	})
	successor.Start(t)
	_, sentence := old.AwaitComplaint(t, "epoch_conflict")
	if t.Log(sentence); !strings.Contains(sentence, "ktadmin init-slave --reclone") {
		t.Errorf("the message names no command to run: %s", sentence)
	}
	stays(t, 2*time.Second, "the old active serves nothing", func() error { return servesNothing(t, old, known, ghost) })
	if conn := successor.SQL(t); keys(t, conn, known) != 1 || keys(t, conn, ghost) != 0 {
		t.Error("the new active has other keys than were acknowledged")
	}

	// Made a standby by hand, it would be one that shows its ghost.
	old.Kill(t)
	signal := filepath.Join(old.PGData, "standby.signal")
	if err := os.WriteFile(signal, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	old.Begin(t)
	stays(t, 2*time.Second, "its database does not start", func() error {
		if conn, err := old.Connect(t.Context()); err == nil {
			conn.Close(t.Context())
			return errors.New("it does")
		}
		return servesNothing(t, old, known, ghost)
	})
	joinsAnew(t, p, successor)
	onBothDisks(t, p, known)
}

// TestH09TwoPromoted: the hosts do not hear each other, and the passive is promoted though the active is not off. Neither takes a write; what
// they serve both have; and when they meet, the one of the older epoch fences itself and says what to run, while the other one is what it was.
func TestH09TwoPromoted(t *testing.T) {
	p := confirmed(t)
	known, material := p.Active.MustCreate(t)
	old, successor := p.Active, p.Passive
	p.Cut(t)
	ghost := pairtest.NewKey()
	go old.Create(t, ghost)
	promote(t, successor)
	successor.AwaitServed(t, known, material) // its daemon begins anew
	stays(t, 2*time.Second, "neither takes a write, and both serve what both have", func() error {
		for _, n := range p.Nodes {
			if _, got := n.Version(t, known, 0); got != material {
				return errors.New(n.Name + " does not serve a key")
			}
			if _, got := n.Version(t, ghost, 0); got != "" {
				return errors.New(n.Name + " serves a key that only the old active has")
			}
			if err := acknowledged(n.Create(t, pairtest.NewKey())); err != nil {
				return err
			}
		}
		return nil
	})
	history := query[string](t, successor.SQL(t), "SELECT timeline_id::text FROM pg_control_checkpoint()")
	p.Heal(t)
	_, sentence := old.AwaitComplaint(t, "epoch_conflict")
	if t.Log(sentence); !strings.Contains(sentence, "ktadmin init-slave --reclone") {
		t.Errorf("the message names no command to run: %s", sentence)
	}
	stays(t, 2*time.Second, "the old active serves nothing, the new one what it did", func() error {
		if _, got := successor.Version(t, known, 0); got != material {
			return errors.New("it does not")
		}
		return servesNothing(t, old, known, ghost)
	})
	conn := successor.SQL(t)
	if now := query[string](t, conn, "SELECT timeline_id::text FROM pg_control_checkpoint()"); now != history || keys(t, conn, ghost) != 0 || keys(t, conn, known) != 1 {
		t.Errorf("the new active is on timeline %s, was on %s, or has other keys", now, history)
	}
	joinsAnew(t, p, successor)
	onBothDisks(t, p, known)
}

// TestH09PromotedByHand: somebody promotes the passive's PostgreSQL itself. It is no pair's active for that: it serves nothing, and the active
// takes no write beside it.
func TestH09PromotedByHand(t *testing.T) {
	p := confirmed(t)
	known, material := p.Active.MustCreate(t)
	if p.Passive.MustServe(t, known) != material { // and it remembers it
		t.Error("the hosts serve different materials")
	}
	since := time.Now()
	execute(t, p.Passive.SQL(t), "SELECT pg_promote()")
	p.AwaitShut(t, since, "identity_mismatch", "passive_not_streaming", "fenced")
	p.Passive.Logged(t, "its database is a primary")
	stays(t, 2*time.Second, "the passive serves nothing, the active what it did, and nothing is acknowledged", func() error {
		if _, got := p.Active.Version(t, known, 0); got != material {
			return errors.New("the active does not serve a key")
		}
		if err := acknowledged(p.Active.Create(t, pairtest.NewKey())); err != nil {
			return err
		}
		return servesNothing(t, p.Passive, known)
	})
	_, sentence := p.Active.AwaitComplaint(t, "identity_mismatch")
	t.Log(sentence)
	joinsAnew(t, p, p.Active)
}

// joinsAnew makes the other host, whose disk is emptied before, the passive of this one.
func joinsAnew(t *testing.T, p *pairtest.Pair, to *pairtest.Node) {
	t.Helper()
	to.Other().Destroy(t)
	to.Other().Join(t)
	p.Up(t)
	if p.Active != to {
		t.Errorf("the active is %s", p.Active.Name)
	}
}
