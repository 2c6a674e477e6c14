package host

import (
	"strings"
	"testing"
	"time"

	"keytrustee/replication"
)

// TestDataTrouble: what is said to be done never costs the copy that is whole, nor the only one.
func TestDataTrouble(t *testing.T) {
	report := func(d replication.Duty, answers bool, damaged int64) replication.Report {
		r := replication.Report{PeerAnswers: answers}
		r.Duty, r.PeerName, r.Local.Damaged, r.Local.DamagedAt = d, "kt02", damaged, time.Now()
		return r
	}
	for _, c := range []struct {
		report     replication.Report
		wants, not string
	}{
		{report(replication.Passive, true, 3), "Clone this host anew", "Keep this disk"},
		{report(replication.Active, true, 3), "ktadmin cluster switchover; then clone this host anew", "Keep this disk"},
		{report(replication.Passive, false, 3), "Keep this disk", "reclone"},
		{report(replication.Active, false, 3), "Keep this disk", "reclone"},
	} {
		what, do := DataTrouble(c.report)
		if !strings.Contains(what, "met such 3 times") || !strings.Contains(do, c.wants) || strings.Contains(do, c.not) {
			t.Errorf("%s, the other answers: %v: %s; %s", c.report.Duty, c.report.PeerAnswers, what, do)
		}
	}
	if what, do := DataTrouble(report(replication.Passive, true, 0)); what != "" || do != "" {
		t.Errorf("nothing is damaged: %s; %s", what, do)
	}
}
