package replication_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"keytrustee/postgres"
	"keytrustee/replication"
)

// TestRemove gives up a passive that is gone: not while it answers or streams. Afterwards nothing is kept for it, the
// active serves everything and takes no write, and the one that was removed serves nothing when it is back.
func TestRemove(t *testing.T) {
	p := newPair(t)
	w := p.active.newWriter()
	w.must()
	remove := replication.Command{Act: replication.ActRemove, Name: p.passive.name, By: "root", Confirm: replication.NotPromoted(p.passive.name)}
	p.active.refused(remove, "kt02 answers")
	p.passive.refused(remove, "at the active")
	first := p.active.monitor.State().Epoch

	old := p.passive
	old.stop()
	p.active.awaitReason(replication.PassiveDaemonDown)
	await(t, "silence of the daemon", func() error {
		if p.active.monitor.PeerAnswers() {
			return errors.New("heard a moment ago")
		}
		return nil
	})
	p.active.refused(remove, "still streams")
	old.stopServer(postgres.Immediate)
	p.active.awaitReason(replication.PassiveUnreachable)
	p.active.refused(replication.Command{Act: replication.ActRemove, Name: "kt09"}, "not kt09")
	check := remove
	check.Check, check.Confirm = true, ""
	await(t, "silence", func() error {
		o, err := p.active.monitor.Operate(t.Context(), check)
		if err == nil && len(o.Plan) == 0 {
			t.Error("a check without a plan")
		}
		if err == nil && !strings.Contains(o.Plan[0], "if kt02 was promoted since kt01 last heard it (at 20") {
			t.Errorf("the plan begins with %q", o.Plan[0])
		}
		return err
	})
	for _, said := range []string{"", replication.NotPromoted("kt09"), replication.Confirmation("kt02")} {
		unsaid := remove
		unsaid.Confirm = said
		p.active.refused(unsaid, `nobody has confirmed that "kt02 was not promoted"`)
	}
	if s := p.active.monitor.State(); s.Peer == nil || s.Epoch != first {
		t.Fatalf("what was refused, or only checked, changed %+v", s)
	}

	// Killed when it is decided and nothing of it is done.
	p.active.stop()
	p.active.startDaemonWith(func(m *replication.Monitor) { m.SetFailpoint(func(string) error { return errors.New("killed") }) })
	await(t, "removal", func() error {
		if _, err := p.active.monitor.Operate(t.Context(), remove); err == nil || err.Error() != "killed" {
			return err
		}
		return nil
	})
	p.active.stop()
	if slots, _ := p.active.keptFor(); len(slots) != 1 {
		t.Errorf("slots %v before the removal goes on", slots)
	}
	p.active.startDaemon()
	await(t, "the end of the removal", func() error {
		if slots, names := p.active.keptFor(); len(slots) != 0 || names != `"`+postgres.NoStandby+`"` {
			return fmt.Errorf("slots %v, commits wait for %s", slots, names)
		}
		return nil
	})
	p.active.awaitReason(replication.NoPassive)
	s := p.active.monitor.State()
	if s.Peer != nil || s.Epoch.Number != first.Number+1 || s.Former == nil || s.Former.Name != old.name || s.Former.Epoch != s.Epoch {
		t.Errorf("state %+v, former %+v", s, s.Former)
	}
	w.check(p.active)
	if _, why := p.active.shown(); why != nil {
		t.Errorf("the active is not certain any more: %v", why)
	}

	old.startServer()
	old.startDaemon()
	await(t, "fence", func() error {
		if f := old.monitor.State().Fenced; f == nil || f.Met == nil || *f.Met != s.Epoch {
			return errors.New("not yet")
		}
		return nil
	})
	if items, why := old.shown(); len(items) > 0 || why == nil {
		t.Errorf("the removed passive shows %d items (%v)", len(items), why)
	}

	// There is nobody left that a start of the active could be compared with, and none is needed to join it.
	p.active.stopServer(postgres.Fast)
	p.active.startServer()
	await(t, "the database", func() error {
		if !p.active.monitor.Report().Local.Answers {
			return errors.New("it does not answer")
		}
		return nil
	})
	p.joinAnother("kt03")
	w.must()
	w.check(p.active)
	w.check(p.passive)
}

// TestUncomparedActiveGivesNobodyUp: an active whose database was started while its passive was away does not know whether it has
// all that the passive has, and neither removes it nor lets another host take its place without a word of the operator. The
// passive's own log, which lies there as it is, says it as well as a comparison does; that of another copy does not.
func TestUncomparedActiveGivesNobodyUp(t *testing.T) {
	p := newPair(t)
	w := p.active.newWriter()
	w.must()
	p.passive.stop()
	p.passive.stopServer(postgres.Immediate)
	p.active.stopServer(postgres.Immediate)
	p.active.startServer()
	const words = "has not been compared with that of kt02"
	p.active.givesNobodyUp(words)

	other := replication.Joiner{Peer: replication.Peer{Name: "kt03", Address: "127.0.0.1", Incarnation: "x"}}
	itself := replication.Joiner{Peer: *p.active.monitor.State().Peer, Itself: true}
	itself.Incarnation = replication.NewIncarnation()
	p.active.refuses(other, words)
	p.active.refuses(itself, words)
	had := p.passive.had()
	another := had
	another.Incarnation = replication.NewIncarnation()
	other.Had = &another
	p.active.refuses(other, words)
	other.Had, other.Replace = nil, true
	p.active.admits(other)
	itself.Had = &had
	p.active.admits(itself)

	p.passive.startServer()
	p.passive.startDaemon()
	p.awaitOpen()
	w.must()
	p.passive.stop()
	p.passive.stopServer(postgres.Immediate)
	p.active.awaitReason(replication.PassiveUnreachable)
	await(t, "a removal after a comparison", func() error {
		_, err := p.active.monitor.Operate(t.Context(), replication.Command{Act: replication.ActRemove, Name: p.passive.name, Check: true})
		return err
	})
	other.Replace = false
	p.active.admits(other)
}

// givesNobodyUp shows that the passive of h, which is silent, is not removed, for that reason.
func (h *host) givesNobodyUp(words string) {
	h.t.Helper()
	await(h.t, "silence", func() error {
		switch r := h.monitor.Report(); {
		case !r.Polled || !r.Local.Answers:
			return errors.New("it has just started")
		case r.PeerAnswers:
			return errors.New("the passive answers")
		}
		return nil
	})
	passive := h.monitor.State().Peer.Name
	h.refused(replication.Command{Act: replication.ActRemove, Name: passive, By: "root", Confirm: replication.NotPromoted(passive)}, words)
	if h.monitor.State().Peer == nil {
		h.t.Fatal("it has no passive any more")
	}
}

// refuses shows that h does not let j join, for that reason.
func (h *host) refuses(j replication.Joiner, words string) {
	h.t.Helper()
	await(h.t, "the database", func() error {
		if r := h.monitor.Report(); !r.Polled || !r.Local.Answers {
			return errors.New("it has just started")
		}
		return nil
	})
	_, err := h.monitor.Admit(h.t.Context(), j)
	if _, refused := errors.AsType[*replication.RefusedError](err); !refused || !strings.Contains(err.Error(), words) {
		h.t.Errorf("%s, itself %t, was admitted: %v, want %q", j.Name, j.Itself, err, words)
	}
	if s := h.monitor.State(); s.Pending != nil {
		h.t.Fatalf("%+v is joining", s.Pending)
	}
}

// admits shows that h lets j join, and gives that up.
func (h *host) admits(j replication.Joiner) {
	h.t.Helper()
	await(h.t, "admission", func() error {
		_, err := h.monitor.Admit(h.t.Context(), j)
		return err
	})
	if err := h.monitor.Abandon(h.t.Context(), ""); err != nil {
		h.t.Fatal(err)
	}
}

// had is where the log of h ends, whose server is stopped.
func (h *host) had() replication.Boundary {
	h.t.Helper()
	b, err := replication.BoundaryOf(h.t.Context(), h.server.Installation, h.server.Data, h.state.Current())
	if err != nil {
		h.t.Fatal(err)
	}
	return b
}

// joinAnother makes a host of that name, with the active's root key, the passive in the place of one that was lost.
func (p *pair) joinAnother(name string) {
	p.t.Helper()
	root, err := os.ReadFile(p.active.prover.path)
	if err != nil {
		p.t.Fatal(err)
	}
	p.passive = p.newHost(name, root)
	p.join(p.passive, false)
	p.awaitOpen()
}

// keptFor returns the replication slots of h, and what its commits wait for.
func (h *host) keptFor() (slots []string, names string) {
	h.t.Helper()
	conn := h.connect()
	rows, err := conn.Query(h.t.Context(), "select slot_name from pg_replication_slots")
	if err == nil {
		slots, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err == nil {
		err = conn.QueryRow(h.t.Context(), "show synchronous_standby_names").Scan(&names)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return slots, names
}
