package main

import (
	"testing"

	"keytrustee/kms"
	"keytrustee/replication"
)

func TestRefusalNamesTheHostThatCanDoBetter(t *testing.T) {
	for _, row := range []struct {
		reason      replication.Reason
		peerAnswers bool
		want        kms.Remedy
	}{
		{replication.Starting, true, kms.ElsewherePeer},
		{replication.Starting, false, kms.ElsewherePeer},
		{replication.Fenced, false, kms.ElsewherePeer},
		{replication.PassiveStale, true, kms.ElsewhereSame},
		{replication.PassiveStale, false, kms.ElsewhereNone},
		{replication.SyncNotEnabled, true, kms.ElsewhereSame},
		{replication.Joining, false, kms.ElsewhereNone},
		{replication.RootKeyMismatch, true, kms.ElsewhereSame},
		{replication.NoPassive, true, kms.ElsewhereNone},
		{replication.PassiveDaemonDown, true, kms.ElsewhereNone},
		{replication.PassiveUnreachable, false, kms.ElsewhereNone},
		{replication.ActiveUnreachable, false, kms.ElsewhereNone},
		{replication.OperatorHold, true, kms.ElsewhereSame},
		{replication.OperatorHold, false, kms.ElsewhereNone},
	} {
		got := refusal(&replication.ClosedError{Reason: row.reason, PeerAnswers: row.peerAnswers})
		if read, ok := unread(&replication.ClosedError{Reason: row.reason, PeerAnswers: row.peerAnswers}).(*kms.ReadOnlyError); !ok || read.Remedy != kms.ElsewherePeer {
			t.Errorf("%s, peer answers %t: a read would end the client's call", row.reason, row.peerAnswers)
		}
		if got.Remedy != row.want || got.Reason != kms.Reason(row.reason) {
			t.Errorf("%s, peer answers %t: %v %v, want %v", row.reason, row.peerAnswers, got.Reason, got.Remedy, row.want)
		}
	}
}

// TestNoReasonEndsARead: whatever keeps a host from answering a read for certain, the client asks the other one.
func TestNoReasonEndsARead(t *testing.T) {
	for _, reason := range replication.Reasons() {
		for _, peerAnswers := range []bool{false, true} {
			err := unread(&replication.ClosedError{Reason: reason, PeerAnswers: peerAnswers, Sentence: "why"})
			refused, ok := err.(*kms.ReadOnlyError)
			if !ok || refused.Remedy != kms.ElsewherePeer || refused.Reason != kms.Reason(reason) || refused.Sentence != "why" {
				t.Errorf("%s, peer answers %t: %#v", reason, peerAnswers, err)
			}
		}
	}
}

// TestReasonsAreSpelledAlike: kms and replication know nothing of each other, and a client may hear one reason from both.
func TestReasonsAreSpelledAlike(t *testing.T) {
	for ours, pairs := range map[kms.Reason]replication.Reason{
		kms.ReasonStarting:          replication.Starting,
		kms.ReasonActiveUnreachable: replication.ActiveUnreachable,
		kms.ReasonRootKeyMismatch:   replication.RootKeyMismatch,
		kms.ReasonBusy:              replication.Busy,
		kms.ReasonAuditUnavailable:  replication.AuditUnavailable,
	} {
		if string(ours) != string(pairs) {
			t.Errorf("kms says %q, replication %q", ours, pairs)
		}
	}
}
