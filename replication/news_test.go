package replication

import (
	"testing"

	"keytrustee/postgres"
)

func TestNews(t *testing.T) {
	snapshot := func(s string) postgres.Snapshot {
		t.Helper()
		parsed, err := postgres.ParseSnapshot(s)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	n := news{seen: snapshot("10:12:11")} // 11 runs
	for _, step := range []struct {
		what         string
		canary       postgres.XID
		snapshot     string
		acknowledged []postgres.XID
		want         bool
	}{
		{"nothing has happened", 12, "10:12:11", nil, false},
		{"the canary has ended", 13, "10:13:11", nil, false},
		{"a write that was acknowledged", 15, "10:15:11", []postgres.XID{14}, false},
		{"one that was not", 17, "10:17:11", []postgres.XID{14}, true},
		{"and is not shown yet", 18, "10:18:11", []postgres.XID{14}, true},
	} {
		got := n.in(snapshot(step.snapshot), step.acknowledged)
		n.sung(canary{xid: step.canary})
		if got != step.want {
			t.Errorf("%s: news %t, want %t", step.what, got, step.want)
		}
	}
	n.pending = false
	if n.in(snapshot("10:19:11"), nil) {
		t.Error("what was shown is news again")
	}
	if !n.in(snapshot("19:19:"), nil) {
		t.Error("the one that ran all the time is no news")
	}
	if len(n.canaries) != 0 {
		t.Errorf("canaries are kept: %v", n.canaries)
	}
	if n := (news{}); !n.in(snapshot("10:10:"), nil) {
		t.Error("the first snapshot is no news")
	}
}
