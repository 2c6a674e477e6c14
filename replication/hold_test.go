package replication_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"keytrustee/replication"
)

// operate gives h a command that must not be refused.
func (h *host) operate(c replication.Command) replication.Operated {
	h.t.Helper()
	o, err := h.monitor.Operate(h.t.Context(), c)
	if err != nil {
		h.t.Fatalf("%s on %s: %v", c.Act, h.name, err)
	}
	return o
}

// refused gives h a command that must be refused, with those words.
func (h *host) refused(c replication.Command, words string) {
	h.t.Helper()
	before := h.monitor.State()
	_, err := h.monitor.Operate(h.t.Context(), c)
	if _, refused := errors.AsType[*replication.RefusedError](err); !refused || !strings.Contains(err.Error(), words) {
		h.t.Errorf("%s on %s: %v; wanted a refusal with %q", c.Act, h.name, err, words)
		return
	}
	if now := h.monitor.State(); now.Epoch != before.Epoch || now.Duty != before.Duty || (now.Operation == nil) != (before.Operation == nil) || (now.Peer == nil) != (before.Peer == nil) {
		h.t.Errorf("%s on %s was refused, and changed %+v to %+v", c.Act, h.name, before, now)
	}
	h.t.Logf("evidence: %v", err)
}

// TestHold: a hold shuts the gate before the command returns, given at either host; it outlives the daemon, does not touch
// reads, and ends by the operator or by itself.
func TestHold(t *testing.T) {
	p := newPair(t)
	w := p.active.newWriter()
	w.must()
	p.active.refused(replication.Command{Act: replication.ActRelease}, "nobody has put")
	p.active.refused(replication.Command{Act: replication.ActHold, Note: "x"}, "a hold lasts")
	p.active.refused(replication.Command{Act: replication.ActHold, For: time.Minute}, "wants a reason")
	p.active.refused(replication.Command{Act: "dance"}, "does not know")

	o := p.passive.operate(replication.Command{Act: replication.ActHold, Note: "moving the rack", By: "root on kt02", For: time.Hour})
	if o.Host != p.active.name || o.Operation == nil || o.Operation.Kind != replication.KindHold {
		t.Errorf("relayed: %+v", o)
	}
	closed := p.active.monitor.Gate().Closed()
	if closed == nil || closed.Reason != replication.OperatorHold || !strings.Contains(closed.Sentence, "moving the rack; by root on kt02, until ") {
		t.Fatalf("the gate after the hold: %v", closed)
	}
	if wr, _ := w.begin(); wr.refused == nil {
		t.Error("a write began under a hold")
	}
	w.check(p.active)
	w.check(p.passive)

	p.active.stop()
	p.active.startDaemon()
	p.active.awaitReason(replication.OperatorHold)
	await(t, "reads after the start", func() error {
		if r := p.active.monitor.Report().Reads; r.Served != replication.Everything {
			return errors.New(r.Sentence)
		}
		return nil
	})
	w.check(p.active)
	p.passive.operate(replication.Command{Act: replication.ActRelease, By: "root on kt02"})
	if took := p.awaitOpen(); took > 3*time.Second {
		t.Errorf("open %s after the release", took)
	}
	w.must()

	p.active.operate(replication.Command{Act: replication.ActHold, Note: "a moment", By: "root", For: 700 * time.Millisecond})
	p.active.awaitReason(replication.OperatorHold)
	if took := p.awaitOpen(); took > 3*time.Second {
		t.Errorf("open %s after a hold of 0.7 s", took)
	}
	await(t, "outcome", func() error {
		s := p.active.monitor.State()
		if s.Operation != nil || s.Outcome == nil || s.Outcome.Kind != replication.KindHold || !strings.Contains(s.Outcome.Sentence, "its time was over") {
			return fmt.Errorf("operation %+v, outcome %+v", s.Operation, s.Outcome)
		}
		return nil
	})
	w.must()
	w.check(p.passive)
}
