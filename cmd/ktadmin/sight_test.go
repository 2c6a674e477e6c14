package main

import (
	"time"

	"keytrustee/host"
	"keytrustee/replication"
)

func server(role replication.Role) replication.Server {
	s := replication.Server{Answers: true, Role: role, SystemID: 42, Timeline: 3, Version: 150018, Started: ago(26 * time.Hour)}
	s.Flushed, s.Replayed = 0x5A1C2D8, 0x5A1C2D8
	if role == replication.Standby {
		s.Receiver = "streaming"
	}
	return s
}

func beside() *replication.Beside {
	zero := 0
	return &replication.Beside{Release: "0.2.0", Recovery: "confirmed", Unconfirmed: &zero,
		Certificates: map[string]time.Time{"public": now.Add(88 * 24 * time.Hour), "cluster": now.Add(90 * 24 * time.Hour), "authority": now.Add(3000 * 24 * time.Hour)}}
}

// active is kt01's word while all is well.
func active() *replication.Report {
	left := int64(1 << 30)
	r := &replication.Report{Decision: replication.Decision{Open: true}, Since: ago(3 * time.Minute), Turned: ago(3 * time.Minute), PeerAnswers: true, PeerHeard: now,
		Reads: replication.Reads{Served: replication.Everything}, Beside: beside()}
	r.Status = replication.Status{Self: "kt01", Duty: replication.Active, Epoch: epoch, SystemID: 42, Polled: true, Local: server(replication.Primary), PeerName: "kt02",
		StandbyName: "kt_kt02_7_3f9c", SyncEnabled: true, PeerAge: 200 * time.Millisecond, ReplyAge: 200 * time.Millisecond, HeardAge: 200 * time.Millisecond,
		Peer: replication.Answer{Name: "kt02", Duty: replication.Passive, Epoch: epoch, Server: server(replication.Standby), DiskFree: 42 << 30, DiskSize: 100 << 30},
		Standbys: []replication.StandbyRow{{Application: "kt_kt02_7_3f9c", State: "streaming", SyncState: "sync", Since: ago(25 * time.Hour),
			SentLSN: 0x5A1C2D8, WriteLSN: 0x5A1C2D8, FlushLSN: 0x5A1C2D8, ReplayLSN: 0x5A1C2D8}},
		Slot: &replication.Slot{Name: "kt_kt02_7_3f9c", Active: true, WALStatus: "reserved", SafeBytes: &left}, RootProofAge: 12 * time.Second,
		DiskFree: 39 << 30, DiskSize: 100 << 30, Confirmed: 0x5A1C2D8}
	return r
}

// passive is kt02's.
func passive() *replication.Report {
	r := &replication.Report{Since: ago(3 * time.Minute), Turned: ago(3 * time.Minute), PeerAnswers: true, PeerHeard: now,
		Reads: replication.Reads{Served: replication.Everything}, Beside: beside(), ActiveGate: &replication.GateReport{Open: true, Since: ago(3 * time.Minute)}}
	r.Beside.Unconfirmed = nil
	r.Status = replication.Status{Self: "kt02", Duty: replication.Passive, Epoch: epoch, SystemID: 42, Polled: true, Local: server(replication.Standby), PeerName: "kt01",
		PeerAge: 300 * time.Millisecond, ReplyAge: 300 * time.Millisecond, HeardAge: 300 * time.Millisecond, RootProofAge: replication.Never,
		Peer:     replication.Answer{Name: "kt01", Duty: replication.Active, Epoch: epoch, Server: server(replication.Primary), DiskFree: 39 << 30, DiskSize: 100 << 30},
		DiskFree: 42 << 30, DiskSize: 100 << 30, Confirmed: 0x5A1C2D8}
	return r
}

// state is what kt01 or kt02 has on disk.
func state(self string, duty replication.Duty) *replication.State {
	other := map[string]string{"kt01": "kt02", "kt02": "kt01"}[self]
	return &replication.State{Self: self, Duty: duty, Epoch: epoch, SystemID: 42, Peer: &replication.Peer{Name: other, Address: other + ".example.com"}}
}

// seenFrom is a sight of the host of r, whose other one says peer.
func seenFrom(r, peer *replication.Report, trouble string) host.Sight {
	s := host.Sight{At: now, Peer: peer, PeerTrouble: trouble}
	s.Status = host.Status{Name: r.Self, Address: r.Self + ".example.com", Cluster: "5f0c", Daemon: true, Report: r, State: state(r.Self, r.Duty)}
	s.Status.State.Operation = r.Operation
	return s
}

// without is a sight by files alone.
func without(self string, duty replication.Duty, down string) host.Sight {
	made := ago(time.Hour)
	s := host.Sight{At: now, Down: down, Status: host.Status{Name: self, Address: self + ".example.com", Cluster: "5f0c", State: state(self, duty),
		Recovery:     host.Recovery{Made: true, Confirmed: &made},
		Certificates: []host.Certificate{{File: "/x/.ssl/cluster.pem", Expires: now.Add(90 * 24 * time.Hour)}, {File: "/x/ca.pem", Expires: now.Add(3000 * 24 * time.Hour)}}}}
	s.Status.State.LastConfirmed = 0x5A1C2D8
	s.Status.State.Confirmed.Position = 0x5A1C2D8
	return s
}

// shut is r with its gate shut.
func shut(r *replication.Report, reason replication.Reason, since time.Duration, what, do string) *replication.Report {
	r.Decision, r.Since, r.Turned, r.What, r.Do = replication.Decision{Reason: reason}, ago(since), ago(since), what, do
	return r
}

// gone is r whose other host was last heard then; zero: never.
func gone(r *replication.Report, since time.Duration) *replication.Report {
	r.PeerAnswers, r.PeerHeard, r.PeerAge, r.ReplyAge, r.HeardAge, r.Standbys = false, ago(since), since, since, since, nil
	if since == 0 {
		r.PeerHeard, r.PeerAge, r.ReplyAge, r.HeardAge, r.Peer = time.Time{}, replication.Never, replication.Never, replication.Never, replication.Answer{}
	}
	return r
}
