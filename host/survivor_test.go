package host

import (
	"strings"
	"testing"

	"keytrustee/certs"
	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
	"keytrustee/replication"
)

// TestSurvivorTellsNobodyElse: where the survivor's log ends, and what is in it, it tells the host that it has admitted, and
// neither somebody without a certificate nor itself.
func TestSurvivorTellsNobodyElse(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	survivor, _ := startSurvivor(t)
	at, timeline, err := postgres.WALEnd(t.Context(), survivor.server.Installation, survivor.PGRoot)
	if err != nil {
		t.Fatal(err)
	}
	for name, show := range map[string]bool{"a stranger": false, "a node that was not admitted": true} {
		client := newJoinClient(survivor.ClusterAddress(), certs.FingerprintOf(parse(t, survivor.AuthorityFile())))
		defer client.close()
		if show {
			if err := client.show(survivor.ClusterFiles()); err != nil {
				t.Fatal(err)
			}
		}
		if err := client.call(t.Context(), boundaryPath, joinerRequest{}, new(replication.Boundary)); err == nil || !strings.Contains(err.Error(), "has not been admitted") {
			t.Errorf("%s asks where the log ends: %v", name, err)
		}
		_, content, err := client.post(t.Context(), segmentPath, segmentRequest{Timeline: timeline, Start: postgres.SegmentStart(at), End: at})
		if err == nil || !strings.Contains(err.Error(), "has not been admitted") || len(content) > 0 {
			t.Errorf("%s asks for the log: %d bytes, %v", name, len(content), err)
		}
	}
}
