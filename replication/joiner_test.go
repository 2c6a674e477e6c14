package replication_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"keytrustee/postgres"
	"keytrustee/replication"
)

// TestJoinerIsWholeFirst replaces the passive while it goes on confirming writes: the copy is of before them. Until it has replayed them it is
// not confirmed: it is not read, can not be promoted, and no active is restored from it. Then it is as good as any other.
func TestJoinerIsWholeFirst(t *testing.T) {
	p := newPair(t)
	a, b := p.active, p.passive
	w := a.newWriter()
	w.must()
	c := p.newRoot("kt03")
	p.clone(c, true)
	for range 5 {
		w.must() // through the passive that is being replaced
	}
	c.startServer()
	c.holdReplay()
	c.startDaemon()
	b.stop()
	b.stopServer(postgres.Fast)
	p.passive = c
	await(t, "the copy's first position", func() error {
		s, r := a.monitor.State(), a.monitor.Report()
		if s.Peer.Name != c.name || s.Compared == nil || s.Compared.Passive == "" || r.Confirmed == 0 || r.Peer.Following == "" {
			return fmt.Errorf("the passive is %s, compared %+v, confirmed %s", s.Peer.Name, s.Compared, r.Confirmed)
		}
		return nil
	})
	lacks := func(what string) {
		t.Helper()
		v, why := c.monitor.Horizon().Visibility()
		if why == nil || v.All {
			t.Errorf("%s: it is read, and lacks what was acknowledged", what)
		}
		if at := c.monitor.State().LastConfirmed; at != 0 {
			t.Errorf("%s: it takes itself for confirmed, up to %s", what, at)
		}
	}
	for range 8 { // so that it is told again and again
		lacks("while it is behind")
		c.askedAgain()
	}
	if a.monitor.Gate().Closed() == nil {
		t.Error("the gate is open beside a passive that lacks what was acknowledged")
	}

	// The active is lost now.
	a.stop()
	a.stopServer(postgres.Immediate)
	await(t, "silence", func() error {
		s := c.monitor.Report()
		if s.HeardAge < 3*time.Second || s.MessageAge < 3*time.Second {
			return errors.New("the active was heard")
		}
		return nil
	})
	lacks("without its active")
	if why := c.monitor.RestoreRefusal(); !strings.Contains(why, "was never confirmed") {
		t.Errorf("an active can be restored from it (%q)", why)
	}
	o, err := c.monitor.Operate(t.Context(), replication.Command{Act: replication.ActPromote, Name: a.name, Check: true})
	if never := has(o.Findings, "it was never confirmed by the active"); err != nil || !never {
		t.Errorf("it can be promoted: %+v, %v", o.Findings, err)
	}

	a.startServer()
	a.startDaemon()
	c.releaseReplay()
	p.awaitOpen()
	w.check(c)
	if at, least := c.monitor.State().LastConfirmed, a.monitor.State().Confirmed.Position; at == 0 {
		t.Errorf("the gate is open, and it is not confirmed; what was acknowledged ends at %s", least)
	}
	w.must()
	w.check(a)
	w.check(c)
}

// newRoot is newHost for one that has the active's root key.
func (p *pair) newRoot(name string) *host {
	p.t.Helper()
	root, err := os.ReadFile(p.active.prover.path)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.newHost(name, root)
}

// has reports whether that was found to stand in the way.
func has(found []replication.Finding, what string) bool {
	return slices.ContainsFunc(found, func(f replication.Finding) bool { return !f.OK && strings.Contains(f.What, what) })
}

// holdReplay lets h, which follows nobody yet, replay what it has and nothing more.
func (h *host) holdReplay() {
	h.t.Helper()
	conn := h.connect()
	end, _, err := postgres.WALEnd(h.t.Context(), h.server.Installation, h.server.Data)
	if err != nil {
		h.t.Fatal(err)
	}
	await(h.t, "the end of its own log", func() error { return h.holds(conn, "pg_last_wal_replay_lsn() >= '"+end.String()+"'") })
	if _, err := conn.Exec(h.t.Context(), "select pg_wal_replay_pause()"); err != nil {
		h.t.Fatal(err)
	}
	await(h.t, "pause", func() error { return h.holds(conn, "pg_get_wal_replay_pause_state() = 'paused'") })
}

func (h *host) releaseReplay() {
	h.t.Helper()
	if _, err := h.connect().Exec(h.t.Context(), "select pg_wal_replay_resume()"); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) holds(conn *pgx.Conn, condition string) error {
	var ok bool
	err := conn.QueryRow(h.t.Context(), "select "+condition).Scan(&ok)
	if err == nil && !ok {
		err = errors.New("not " + condition)
	}
	return err
}

// TestJoinerComesInBesideNobody lets a host in while the passive is away, which comes back before the copy starts: it stays the passive, and the
// pair takes writes, until it is gone again.
func TestJoinerComesInBesideNobody(t *testing.T) {
	p := newPair(t)
	a, b := p.active, p.passive
	w := a.newWriter()
	w.must()
	epoch := a.monitor.State().Epoch
	b.stop()
	b.stopServer(postgres.Fast)
	await(t, "silence", func() error {
		if age := a.monitor.Report().PeerAge; age < 3*time.Second {
			return fmt.Errorf("it answered %s ago", age)
		}
		return nil
	})
	c := p.newRoot("kt03")
	p.clone(c, false)
	b.startServer()
	b.startDaemon()
	p.awaitOpen()
	w.must()
	c.startServer()
	c.startDaemon()
	await(t, "a word on the joiner", func() error {
		if why := a.monitor.Report().PendingTrouble; !strings.Contains(why, "the passive kt02 is there") {
			return fmt.Errorf("%q", why)
		}
		return nil
	})
	for range 5 {
		w.must()
		if s := a.monitor.State(); s.Peer.Name != b.name || s.Epoch != epoch || b.monitor.State().Fenced != nil {
			t.Fatalf("the passive is %s, in epoch %s; the fence of %s: %+v", s.Peer.Name, s.Epoch, b.name, b.monitor.State().Fenced)
		}
		c.askedAgain()
	}
	if items, why := c.shown(); len(items) > 0 || why == nil {
		t.Errorf("the joiner shows %d items (%v)", len(items), why)
	}
	b.stop()
	b.stopServer(postgres.Fast)
	p.passive = c
	await(t, "the joiner", func() error {
		if s := a.monitor.State(); s.Peer.Name != c.name {
			return fmt.Errorf("the passive is %s, %s", s.Peer.Name, a.monitor.Report().PendingTrouble)
		}
		return nil
	})
	p.awaitOpen()
	w.must()
	w.check(a)
	w.check(c)
}

// askedAgain returns when the active has asked h once more since it was called.
func (h *host) askedAgain() {
	h.t.Helper()
	since := time.Now()
	await(h.t, h.name+" is asked once more", func() error {
		if age := h.monitor.Report().HeardAge; age >= time.Since(since) {
			return fmt.Errorf("it was asked %v ago", age)
		}
		return nil
	})
}
