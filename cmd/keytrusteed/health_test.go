package main

import (
	"testing"

	"keytrustee/host"
	"keytrustee/replication"
)

func TestHealthOf(t *testing.T) {
	self := &host.Host{Name: "kt01", ExternalAddress: "kt01.example.com", Port: 11371}
	other := &replication.Peer{Name: "kt02", URL: "https://kt02.example.com:11371"}
	for _, row := range []struct {
		name   string
		duty   replication.Duty
		report replication.Report
		sealed bool
		active string
		writes bool
	}{
		{"active, open", replication.Active, replication.Report{Decision: replication.Decision{Open: true}, Reads: replication.Reads{Served: replication.Everything}},
			false, "https://kt01.example.com:11371", true},
		{"active alone, started cold", replication.Active, replication.Report{Reads: replication.Reads{Served: replication.Known}},
			false, "https://kt01.example.com:11371", false},
		{"fenced: no balancer may send reads here", replication.Active, replication.Report{Reads: replication.Reads{Served: replication.Nothing}},
			true, "https://kt01.example.com:11371", false},
		{"passive, the active heard", replication.Passive, replication.Report{PeerAnswers: true, ActiveGate: &replication.GateReport{Open: true}, Reads: replication.Reads{Served: replication.Everything}},
			false, other.URL, true},
		{"passive, the active's word is old", replication.Passive, replication.Report{ActiveGate: &replication.GateReport{Open: true}, Reads: replication.Reads{Served: replication.Everything}},
			false, other.URL, false},
	} {
		h := healthOf(row.report, replication.State{Duty: row.duty, Peer: other}, self)
		if h.Sealed != row.sealed || h.Standby != (row.duty == replication.Passive) || h.Active != row.active || h.Writes.Open != row.writes || h.Peer.Name != "kt02" {
			t.Errorf("%s: %+v", row.name, h)
		}
	}
}
