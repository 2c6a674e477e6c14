package replication_test

import (
	"errors"
	"fmt"
	"testing"

	"keytrustee/postgres"
	"keytrustee/replication"
)

// TestSwitchoverLosesAHost: the passive is lost after it was told to take over, and only the operator can say so; then the active, after
// it has handed over. The other one goes on each time, and who is back serves nothing.
func TestSwitchoverLosesAHost(t *testing.T) {
	p := newPair(t)
	a, b := p.active, p.passive
	w := a.newWriter()
	w.must()
	stop := p.neverTwo()
	defer stop()
	epoch := a.monitor.State().Epoch
	a.dies(handover)
	there := b.armed("taking over") // and the active does not hear of it
	a.startDaemon()
	await(t, "takeover", there)
	b.disarm()
	b.stopServer(postgres.Immediate)
	alone := replication.Command{Act: replication.ActPromote, Name: b.name, By: "root", Confirm: replication.Confirmation(b.name)}
	other, silent := alone, alone
	other.Name, silent.Confirm = "kt09", ""
	a.refused(other, "kt02 was told to take over, not kt09")
	await(t, "silence", func() error {
		_, err := a.monitor.Operate(t.Context(), replication.Command{Act: replication.ActAbort, By: "root"})
		if err == nil {
			t.Fatal("aborted without the word of the passive")
		}
		o, err := a.monitor.Operate(t.Context(), replication.Command{Act: replication.ActPromote, Name: b.name, Check: true})
		for _, f := range o.Findings {
			if !f.OK {
				return errors.New(f.What)
			}
		}
		return err
	})
	a.refused(silent, "nobody has confirmed")
	t.Logf("evidence: %s", a.operate(alone).Sentence)
	a.startServer()
	a.awaitReason(replication.NoPassive)
	s := a.monitor.State()
	if s.Duty != replication.Active || s.Epoch.Number != epoch.Number+2 || s.Peer != nil || s.Operation != nil || s.Former == nil || s.Former.Name != b.name {
		t.Errorf("state %+v", s)
	}
	w.check(a)
	b.startServer()
	b.startDaemon()
	await(t, "fence", func() error {
		if f := b.state.Current().Fenced; f == nil || f.Met == nil || *f.Met != s.Epoch {
			return fmt.Errorf("%+v", b.state.Current())
		}
		return nil
	})
	b.stop()
	b.stopServer(postgres.Immediate)

	p.joinAnother("kt03")
	w.must()
	b = p.passive
	a.dies(handover)
	there = b.armed("into " + replication.StepFork)
	a.startDaemon()
	p.until("takeover", func() error {
		if mustState(t, a).Duty == replication.Active {
			return errors.New("not handed over yet")
		}
		return there()
	})
	b.disarm()
	b.stopServer(postgres.Immediate)
	p.until("promotion", func() error {
		_, err := a.monitor.Operate(t.Context(), replication.Command{Act: replication.ActPromote, Name: b.name, By: "root", Confirm: replication.Confirmation(b.name)})
		return err
	})
	p.until("active", func() error {
		if r := a.monitor.Report(); r.Duty != replication.Active || r.Reason != replication.NoPassive || r.Reads.Served != replication.Everything {
			return fmt.Errorf("it is %s, %s, and serves %s", r.Duty, r.Reason, r.Reads.Served)
		}
		return nil
	})
	w.check(a)
}

func (h *host) restart() {
	h.t.Helper()
	h.stop()
	h.startDaemon()
}

// change changes the state file while no daemon runs.
func (h *host) change(f func(*replication.State)) {
	h.t.Helper()
	file, err := replication.OpenState(h.statePath())
	if err == nil {
		err = file.Update(func(s *replication.State) error { f(s); return nil })
	}
	if err != nil {
		h.t.Fatal(err)
	}
}
