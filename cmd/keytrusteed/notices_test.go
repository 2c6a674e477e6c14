package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keytrustee/host"
	"keytrustee/kms/audit"
	"keytrustee/replication"
)

// TestNoticesInTheAuditLog: each kind of notice, and an operator's act, as the audit log has it.
func TestNoticesInTheAuditLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kms-audit.log")
	recorder, err := audit.New(audit.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer recorder.Close()
	counted := 0
	tell := noticed(recorder, func(replication.Notice) { counted++ }, slog.New(slog.DiscardHandler))
	at := time.Date(2026, 11, 29, 2, 0, 0, 0, time.UTC)
	told := func(n replication.Notice) {
		n.At, n.Since, n.Host, n.Duty, n.Peer, n.Epoch = at, at, "kt01", replication.Active, "kt02", replication.Epoch{Number: 7, ID: "3f9c"}
		tell(n)
	}
	told(replication.Notice{Kind: replication.GateNotice, Open: true})
	told(replication.Notice{Kind: replication.GateNotice, Reason: replication.PassiveUnreachable, Sentence: "the passive kt02 can not be reached"})
	told(replication.Notice{Kind: replication.GateNotice})
	told(replication.Notice{Kind: replication.FenceNotice, Reason: replication.EpochConflict, Sentence: "both are active", Found: true})
	o := &replication.Operation{Kind: replication.KindHold, ID: "a1", By: "root on kt02", Until: at.Add(time.Hour)}
	told(replication.Notice{Kind: replication.OperationNotice, Reason: o.Reason(), Operation: o, Sentence: "new disks"})
	told(replication.Notice{Kind: replication.OutcomeNotice, Outcome: &replication.Outcome{Kind: replication.KindHold, ID: "a1"}, Sentence: "it has ended"})
	told(replication.Notice{Kind: replication.FormerNotice, Former: &replication.Former{Name: "kt02"}})
	act := commanded(recorder, &host.Host{Name: "kt01"})
	for _, a := range []host.Act{{ID: "b2", Stage: host.ActAttempted, Command: "/v1/cluster/hold", Request: `{"note":"x"}`}, {ID: "b2", Stage: host.ActRefused, UID: 7, Command: "/v1/cluster/hold", Error: "a hold wants a reason"}} {
		if err := act(a); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(text)) {
		_, line, _ = strings.Cut(strings.TrimSpace(line), " NOTICE")
		got = append(got, line)
	}
	common := "host=kt01, duty=active, peer=kt02, epoch=7-3f9c, since=2026-11-29T02:00:00Z"
	want := []string{
		"[kind=gate, state=open, " + common + "]",
		"[kind=gate, state=closed, reason=passive_unreachable, " + common + `] "the passive kt02 can not be reached"`,
		"[kind=gate, state=in_order, " + common + "]",
		"[kind=fence, reason=epoch_conflict, " + common + `, found=at_start] "both are active"`,
		`[kind=operation, reason=operator_hold, operation=hold, id=a1, by="root on kt02", until=2026-11-29T03:00:00Z, ` + common + `] "new disks"`,
		"[kind=outcome, operation=hold, id=a1, " + common + `] "it has ended"`,
		"[kind=former, former=kt02, " + common + "]",
		`[kind=act, state=attempt, command=cluster/hold, uid=0, id=b2, request="{\"note\":\"x\"}", host=kt01]`,
		`[kind=act, state=refused, command=cluster/hold, uid=7, id=b2, host=kt01] "a hold wants a reason"`,
	}
	if diff := cmp.Diff(want, got); diff != "" || counted != 7 {
		t.Errorf("%d counted; the audit log (-want +got):\n%s", counted, diff)
	}

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", path); err != nil {
		t.Fatal(err)
	}
	told(replication.Notice{Kind: replication.GateNotice, Open: true}) // logged; nobody waits, nothing panics
	if err := act(host.Act{Stage: host.ActAttempted}); err == nil {
		t.Error("an act is said to be recorded on a full disk")
	}
	if _, err := recorder.Trouble(); errors.Is(err, nil) {
		t.Error("a notice that could not be written is no trouble")
	}
}
