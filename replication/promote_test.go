package replication_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
	"keytrustee/replication"
)

// dyingAt starts the daemon of h anew and returns when the operation that is under way has come to that point, where it
// was ended: what the state file says then is what a killed daemon leaves.
func (h *host) dyingAt(point string) {
	h.t.Helper()
	h.stop()
	var there atomic.Bool
	h.startDaemonWith(func(m *replication.Monitor) {
		m.SetFailpoint(func(at string) error {
			if at == point || there.Load() {
				there.Store(true)
				return errors.New("killed " + point)
			}
			return nil
		})
	})
	await(h.t, "step "+point, func() error {
		if !there.Load() {
			return fmt.Errorf("the operation is %+v", h.state.Current().Operation)
		}
		return nil
	})
	h.stop()
	h.t.Logf("evidence: ended %s, the state file has %+v", point, *h.state.Current().Operation)
}

// becomes waits until the duty of h is another, and starts its daemon anew, as keytrusteed does itself.
func (h *host) becomes(d replication.Duty) {
	h.t.Helper()
	await(h.t, string(d), func() error {
		if s := h.state.Current(); s.Duty != d {
			return fmt.Errorf("it is %s, operation %+v", s.Duty, s.Operation)
		}
		return nil
	})
	h.stop()
	h.startDaemon()
}

// TestPromotion: an active is lost, and its passive takes over by the operator's word, killed at every step. Nothing that
// was acknowledged is missing. The old active comes back, serves nothing and harms nothing; and if all it has is a part of
// what the new one went on with, it can follow it.
func TestPromotion(t *testing.T) {
	p := newPair(t)
	a, b := p.active, p.passive
	w := a.newWriter()
	for range 20 {
		w.must()
	}
	promote := replication.Command{Act: replication.ActPromote, Name: a.name, By: "root", Confirm: replication.Confirmation(a.name)}
	a.refused(promote, "is the active already")
	b.refused(promote, "kt01 answers")
	first := b.monitor.State().Epoch

	a.stopServer(postgres.Fast) // the passive has all of its log then
	a.stop()
	b.awaitReason(replication.ActiveUnreachable)
	await(t, "silence", func() error {
		o, err := b.monitor.Operate(t.Context(), replication.Command{Act: replication.ActPromote, Name: a.name, Check: true})
		for _, f := range o.Findings {
			if !f.OK {
				err = errors.New(f.What)
			}
		}
		return err
	})
	other, silent := promote, promote
	other.Name, silent.Confirm = "kt09", ""
	b.refused(other, "not kt09")
	b.refused(silent, "nobody has confirmed")

	// The active is there after all: while the passive has only left it, that ends the promotion.
	b.dies(promote)
	a.startServer()
	a.startDaemon()
	b.startDaemon()
	p.awaitOpen()
	if o := b.monitor.State().Outcome; o == nil || !strings.Contains(o.Sentence, "kt02 was not promoted: kt01 answers") || b.monitor.State().Operation != nil {
		t.Fatalf("the active lives, and the promotion ended with %+v", o)
	}
	w.host = a
	w.must()
	a.stopServer(postgres.Fast)
	a.stop()
	whole := a.copyData()

	b.dies(promote)
	b.dyingAt("into " + replication.StepFork)
	b.dyingAt("into " + replication.StepTake)
	b.stopServer(postgres.Immediate) // a primary already, of a passive
	b.startServer()
	b.dyingAt("taking")
	b.startDaemon()
	b.becomes(replication.Active)
	b.awaitReason(replication.NoPassive)

	s := b.monitor.State()
	if s.Epoch.Number != first.Number+1 || s.Peer != nil || s.Operation != nil || s.Former == nil || s.Former.Name != a.name || s.Former.Epoch != s.Epoch ||
		s.Outcome == nil || s.Outcome.Kind != replication.KindPromotion || !s.SyncEnabled {
		t.Errorf("state %+v, former %+v, outcome %+v", s, s.Former, s.Outcome)
	}
	await(t, "epoch in the database", func() error {
		if e := b.monitor.Report().Local.Epoch; e == nil || *e != s.Epoch {
			return fmt.Errorf("epoch %v", e)
		}
		return nil
	})
	if slots, names := b.keptFor(); len(slots) != 0 || names != `"`+postgres.NoStandby+`"` {
		t.Errorf("slots %v, commits wait for %s", slots, names)
	}
	w.check(b)
	if _, why := b.shown(); why != nil {
		t.Errorf("the new active is not certain: %v", why)
	}

	// Started anew, with nobody to compare it with, it serves what it knows.
	b.stopServer(postgres.Immediate)
	b.startServer()
	await(t, "reads after the start", func() error {
		if r := b.monitor.Report().Reads; r.Served != replication.Known || !strings.Contains(r.Sentence, "has no passive that its data could be compared with") {
			return fmt.Errorf("%s: %s", r.Served, r.Sentence)
		}
		return nil
	})
	w.check(b)

	// The old active is back, as it was.
	a.startServer()
	a.startDaemon()
	began := time.Now()
	await(t, "fence", func() error {
		if items, _ := a.shown(); len(items) > 0 {
			t.Fatalf("the old active serves %d items", len(items))
		}
		if a.monitor.Gate().Closed() == nil {
			t.Fatal("the old active takes writes")
		}
		if f := a.monitor.State().Fenced; f == nil || f.Met == nil || *f.Met != s.Epoch {
			return errors.New("not yet")
		}
		return nil
	})
	t.Logf("evidence: fenced after %s: %s", time.Since(began).Round(time.Millisecond), a.monitor.Report().Sentence)
	if r := a.monitor.Report(); r.Reason != replication.EpochConflict || !strings.Contains(r.Sentence, "ktadmin init-slave --reclone") {
		t.Errorf("the old active says %q: %s", r.Reason, r.Sentence)
	}
	a.stop()
	a.restartFails()
	w.check(b)

	// What it wrote after its return is nobody's; what it had before is a part of what the new active has.
	pgtest.Start(t, a.server)
	conn := a.connect()
	if _, err := conn.Exec(t.Context(), "checkpoint"); err != nil {
		t.Fatal(err)
	}
	a.stopServer(postgres.Fast)
	p.active, p.passive = b, a
	p.adopt(b, a)
	b.awaitReason(replication.HistoryDiffers)
	if d := b.monitor.Report().Detail; !strings.Contains(d, "left timeline 1 at ") {
		t.Errorf("the verdict on a log that went on: %s", d)
	}
	a.stop()
	a.stopServer(postgres.Immediate)
	a.putData(whole)
	a.startServer()
	a.startDaemon()
	p.awaitOpen()
	w.host = b
	w.pool = b.newWriter().pool
	w.must()
	w.check(b)
	w.check(a)
}

// TestPromotionOfDamagedData: a page that a passive's disk has lost is found before it is promoted, also one that nobody has asked for since;
// and so is a row that is missing.
func TestPromotionOfDamagedData(t *testing.T) {
	p := newPair(t)
	a, b := p.active, p.passive
	w := a.newWriter()
	w.must()
	promote := replication.Command{Act: replication.ActPromote, Name: a.name, By: "root", Confirm: replication.Confirmation(a.name)}
	var file string
	if err := a.connect().QueryRow(t.Context(), "select pg_relation_filepath('pg_description')").Scan(&file); err != nil { // that of the database of the pair
		t.Fatal(err)
	}
	findingsOf := func(h *host, c replication.Command) (against string) {
		t.Helper()
		c.Check = true
		o, err := h.monitor.Operate(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range o.Findings {
			if !f.OK {
				against = f.What
			}
		}
		return against
	}
	findings := func() string { t.Helper(); return findingsOf(b, promote) }

	// While the active lives, the passive's PostgreSQL meets the page: no duties change before the passive is another copy.
	switchover := replication.Command{Act: replication.ActSwitchover, Name: b.name, By: "root"}
	if what := findingsOf(a, switchover); what != "" {
		t.Fatal("before: ", what)
	}
	pgtest.FlipByte(t, filepath.Join(b.server.Data, file), 5000)
	var n int
	if err := b.connect().QueryRow(t.Context(), "select count(*) from pg_description").Scan(&n); err == nil || !strings.Contains(err.Error(), "invalid page") {
		t.Errorf("the page is read: %v", err)
	}
	await(t, "the passive says what it has met", func() error {
		if what := findingsOf(a, switchover); !strings.Contains(what, "pages of the data of "+b.name+" are damaged") {
			return errors.New(what)
		}
		return nil
	})

	a.stopServer(postgres.Fast)
	a.stop()
	b.awaitReason(replication.ActiveUnreachable)
	await(t, "the page is found", func() error {
		if what := findings(); !strings.Contains(what, file+", block 0") {
			return errors.New(what)
		}
		return nil
	})
	b.refused(promote, "its data can not all be read")

	pgtest.FlipByte(t, filepath.Join(b.server.Data, file), 5000)
	if what := findings(); what != "" {
		t.Fatal("put right: ", what)
	}
	b.stop()
	unreadable := filepath.Join(b.server.Data, "core") // a file that the service may not read, and no damage
	if err := os.WriteFile(unreadable, nil, 0); err != nil {
		t.Fatal(err)
	}
	b.linked = errors.New("the connection broke")
	b.startDaemon()
	looked := promote
	looked.Check = true
	await(t, "nothing stands against it", func() error {
		o, err := b.monitor.Operate(t.Context(), looked)
		if err != nil {
			t.Fatal(err)
		}
		last := o.Findings[len(o.Findings)-1]
		if what := findings(); what != "" || !strings.Contains(last.What, "was not read to the end") || !strings.Contains(last.What, "Permission denied") || !strings.Contains(last.What, "ktadmin db check") {
			return fmt.Errorf("%s; %+v", what, last)
		}
		return nil
	})
	b.stop()
	b.linked = &postgres.RowsError{Text: "it has 3 changes whose version is not there"}
	b.startDaemon()
	await(t, "the missing row is found", func() error {
		if what := findings(); !strings.Contains(what, "3 changes") {
			return errors.New(what)
		}
		return nil
	})
	b.refused(promote, "its data can not all be read")

	// The pair is not left without any way: whoever gives up what is lost says so, word for word, as the refusal has it.
	accepted := promote
	accepted.Confirm = replication.LossConfirmation("kt09")
	b.refused(accepted, fmt.Sprintf("--i-confirm %q", replication.LossConfirmation(a.name)))
	accepted.Confirm = replication.LossConfirmation(a.name)
	if _, err := b.monitor.Operate(t.Context(), accepted); err != nil {
		t.Fatal(err)
	}
	b.becomes(replication.Active)
}

// dies gives h a command, and ends its daemon before anything came of it but the intent.
func (h *host) dies(c replication.Command) {
	h.t.Helper()
	h.stop()
	h.startDaemonWith(func(m *replication.Monitor) {
		m.SetFailpoint(func(string) error { return errors.New("killed at once") })
	})
	await(h.t, "intent", func() error { // what it may do, it finds out anew after its start
		_, err := h.monitor.Operate(h.t.Context(), c)
		return err
	})
	h.stop()
}

// copyData copies the data directory of a server that is stopped.
func (h *host) copyData() (copied string) {
	h.t.Helper()
	copied = h.server.Data + ".copy"
	if out, err := exec.Command("cp", "-a", h.server.Data, copied).CombinedOutput(); err != nil {
		h.t.Fatalf("%v: %s", err, out)
	}
	return copied
}

// putData puts a copy in the place of the data directory, as a standby.
func (h *host) putData(copied string) {
	h.t.Helper()
	if out, err := exec.Command("sh", "-c", "rm -rf "+h.server.Data+" && mv "+copied+" "+h.server.Data).CombinedOutput(); err != nil {
		h.t.Fatalf("%v: %s", err, out)
	}
	if err := h.server.SetSignal(postgres.StandbySignal); err != nil {
		h.t.Fatal(err)
	}
}

// restartFails shows that a fenced host's PostgreSQL is not started.
func (h *host) restartFails() {
	h.t.Helper()
	h.stopServer(postgres.Fast)
	if err := replication.PrepareStart(h.server, h.state.Current()); err == nil || !strings.Contains(err.Error(), "fenced") {
		h.t.Errorf("a fenced host may start: %v", err)
	}
}

// adopt writes into the state files of both, while no daemon of passive runs, what a switchover would have: that passive is the
// passive of active.
func (p *pair) adopt(active, passive *host) {
	p.t.Helper()
	was, now := passive.state.Current(), active.state.Current()
	active.stop()
	file, err := replication.OpenState(active.statePath())
	if err == nil {
		err = file.Update(func(s *replication.State) error {
			s.Peer = &replication.Peer{Name: passive.name, Address: "127.0.0.1", ClusterPort: passive.port, DatabasePort: passive.server.Port, Incarnation: was.Incarnation}
			return nil
		})
	}
	if err != nil {
		p.t.Fatal(err)
	}
	if err := passive.server.SetSignal(postgres.StandbySignal); err != nil {
		p.t.Fatal(err)
	}
	passive.create(replication.State{Self: passive.name, Duty: replication.Passive, Epoch: now.Epoch, SystemID: now.SystemID, Incarnation: was.Incarnation,
		Peer: &replication.Peer{Name: active.name, Address: "127.0.0.1", ClusterPort: active.port, DatabasePort: active.server.Port, Incarnation: now.Incarnation}})
	active.startDaemon()
	passive.startServer()
	passive.startDaemon()
}
