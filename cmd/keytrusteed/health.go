package main

import (
	"keytrustee/host"
	"keytrustee/internal/release"
	"keytrustee/internal/seam"
	"keytrustee/kms/seal"
	"keytrustee/replication"
	"keytrustee/status"
)

// health is what this host says of itself to a load balancer.
func health(p pair, ring *seal.Keyring, self *host.Host) func() status.Health {
	return func() status.Health {
		h := healthOf(p.Report(), p.State(), self)
		h.ServerTime, h.ClusterID = seam.Now().Unix(), ring.Cluster()
		return h
	}
}

// healthOf is the part of it that follows from how the pair is.
func healthOf(report replication.Report, state replication.State, self *host.Host) status.Health {
	h := status.Health{
		Initialized: true,
		Sealed:      report.Reads.Served == replication.Nothing,
		Standby:     state.Duty == replication.Passive,
		Version:     release.Version,
		ClusterName: "keytrustee",
		Host:        self.Name,
		Active:      self.URL(),
		Writes:      status.Writes{Open: report.Open, Reason: string(report.Reason), Sentence: report.Sentence, Since: report.Since},
		Peer:        status.PeerHealth{Answers: report.PeerAnswers},
	}
	if state.Peer != nil {
		h.Peer.Name = state.Peer.Name
	}
	if heard := report.PeerHeard; !heard.IsZero() {
		h.Peer.Heard = &heard
	}
	if h.Standby {
		h.Active = ""
		if state.Peer != nil {
			h.Active = state.Peer.URL
		}
		if g := report.ActiveGate; g != nil && report.PeerAnswers {
			h.Writes = status.Writes{Open: g.Open, Reason: string(g.Reason), Sentence: g.Sentence, Since: g.Since}
		}
	}
	return h
}
