package replication_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"keytrustee/postgres"
	"keytrustee/replication"
)

// TestRestoredGoesOnAlone: an active is restored, and its survivor is lost before the two were compared. The restored one serves nothing
// until the operator says that the survivor is off, not while that answers; then it has every key that was acknowledged, a new passive
// joins and writes open. The survivor, when it is back, serves nothing.
func TestRestoredGoesOnAlone(t *testing.T) {
	p := newPair(t)
	a, b := p.active, p.passive
	w := a.newWriter()
	for range 10 {
		w.must()
	}
	a.stop()
	a.stopServer(postgres.Immediate)
	var admission replication.Admission
	await(t, "admission", func() (err error) {
		admission, err = b.monitor.AdmitRestore(t.Context(), replication.Joiner{Peer: replication.Peer{Name: a.name, Address: "127.0.0.1", ClusterPort: a.port,
			DatabasePort: a.server.Port, Incarnation: replication.NewIncarnation()}})
		return err
	})
	b.lent(admission.Slot)
	p.restore(admission)

	// The survivor's database is dead, and its daemon lives.
	b.stopServer(postgres.Immediate)
	a.startServer()
	a.startDaemon()
	alone := replication.Command{Act: replication.ActPromote, Name: b.name, By: "root", Confirm: replication.Confirmation(b.name)}
	await(t, "the survivor is heard", func() error {
		if !a.monitor.PeerAnswers() {
			return errors.New("not yet")
		}
		return nil
	})
	a.refused(alone, "kt02 answers")
	if r := a.monitor.Report(); r.Reason != replication.Restoring || strings.Contains(r.Do, "promote") {
		t.Errorf("while the survivor answers: %s: %s", r.Reason, r.Do)
	}
	b.stop()
	await(t, "silence", func() error {
		o, err := a.monitor.Operate(t.Context(), replication.Command{Act: replication.ActPromote, Name: b.name, Check: true})
		for _, f := range o.Findings {
			if !f.OK {
				return errors.New(f.What)
			}
		}
		if plan := strings.Join(o.Plan, "; "); err == nil && !strings.Contains(plan, "if kt02 was promoted since") {
			t.Errorf("the plan does not say what is not known: %s", plan)
		}
		return err
	})
	if r := a.monitor.Report(); r.Reason != replication.Restoring || !strings.Contains(r.Do, "ktadmin cluster promote --fenced kt02 on kt01") || r.Reads.Served != replication.Nothing ||
		!strings.Contains(r.Reads.Sentence, "ktadmin cluster promote --fenced kt02 on kt01") {
		t.Errorf("without its survivor it says %q, and serves %s: %s", r.Do, r.Reads.Served, r.Reads.Sentence)
	}
	if items, why := a.shown(); len(items) > 0 || why == nil {
		t.Errorf("it shows %d items (%v)", len(items), why)
	}
	other, silent := alone, alone
	other.Name, silent.Confirm = "kt09", ""
	a.refused(other, "kt01 was restored from kt02, not kt09")
	a.refused(silent, "nobody has confirmed")

	t.Logf("evidence: %s", a.operate(alone).Sentence)
	a.awaitReason(replication.NoPassive)
	s := a.monitor.State()
	if s.Duty != replication.Active || s.Epoch.Number != admission.Epoch.Number+1 || s.Peer != nil || s.Operation != nil || s.Former == nil || s.Former.Name != b.name ||
		s.Outcome == nil || s.Outcome.ID != admission.Operation {
		t.Errorf("state %+v, former %+v, outcome %+v", s, s.Former, s.Outcome)
	}
	await(t, "reads", func() error {
		if r := a.monitor.Report().Reads; r.Served != replication.Everything {
			return fmt.Errorf("%s: %s", r.Served, r.Sentence)
		}
		return nil
	})
	w.check(a)
	await(t, "nothing is kept for the survivor", func() error {
		if slots, names := a.keptFor(); len(slots) != 0 || names != `"`+postgres.NoStandby+`"` {
			return fmt.Errorf("slots %v, commits wait for %s", slots, names)
		}
		return nil
	})

	b.startServer()
	b.startDaemon()
	await(t, "fence", func() error {
		if f := b.state.Current().Fenced; f == nil || f.Met == nil || *f.Met != s.Epoch {
			return fmt.Errorf("%+v", b.state.Current())
		}
		return nil
	})
	if items, why := b.shown(); len(items) > 0 || why == nil {
		t.Errorf("the survivor shows %d items (%v)", len(items), why)
	}
	b.stop()
	b.stopServer(postgres.Immediate)

	p.joinAnother("kt03")
	w.writesAt(a)
	w.must()
	w.check(a)
	w.check(p.passive)
}
