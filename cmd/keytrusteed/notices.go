package main

import (
	"log/slog"
	"time"

	"keytrustee/cmd/internal/auditlog"
	"keytrustee/host"
	"keytrustee/kms/audit"
	"keytrustee/replication"
)

// noticed keeps what the Monitor tells in the audit log.
func noticed(recorder *audit.Recorder, counted func(replication.Notice), log *slog.Logger) func(replication.Notice) {
	return func(n replication.Notice) {
		counted(n)
		if err := recorder.Note(noticeOf(n)); err != nil {
			log.Error("a notice is missing in the audit log", "kind", n.Kind, "reason", n.Reason, "error", err)
		}
	}
}

// noticeOf is n as the audit log has it.
func noticeOf(n replication.Notice) audit.Notice {
	a := audit.Notice{At: n.At, Kind: string(n.Kind), Text: n.Sentence}
	add := func(name, value string) { a.Fields = append(a.Fields, audit.Field{Name: name, Value: value}) }
	switch n.Kind {
	case replication.GateNotice:
		switch {
		case n.Open:
			add("state", "open")
		case n.Reason == "":
			add("state", "in_order")
		default:
			add("state", "closed")
			a.Grave = true
		}
	case replication.FenceNotice:
		a.Grave = true
	}
	add("reason", string(n.Reason))
	if o := n.Operation; o != nil {
		add("operation", string(o.Kind))
		add("step", o.Step)
		add("id", o.ID)
		add("by", o.By)
		add("until", moment(o.Until))
	}
	if o := n.Outcome; o != nil {
		add("operation", string(o.Kind))
		add("id", o.ID)
	}
	if f := n.Former; f != nil {
		add("former", f.Name)
	}
	add("host", n.Host)
	add("duty", string(n.Duty))
	add("peer", n.Peer)
	add("epoch", n.Epoch.String())
	add("since", moment(n.Since))
	if n.Found {
		add("found", "at_start")
	}
	return a
}

// commanded keeps what an operator says to this host's daemon in the audit log; an error: it is not there.
func commanded(recorder *audit.Recorder, self *host.Host) func(host.Act) error {
	return func(act host.Act) error {
		return recorder.Note(auditlog.Notice(act, self.Name))
	}
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
