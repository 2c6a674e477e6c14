package host

import (
	"fmt"
	"math"
	"strings"
	"time"

	"keytrustee/replication"
)

// nodes are the host that is asked and the other one, nil if it has none.
func (s Sight) nodes() (self Node, peer *Node) {
	st := s.Status.State
	if r := s.Status.Report; r != nil {
		self = fromReport(*r, s.At)
	} else {
		self = s.fromFiles()
	}
	self.Name, self.Host, self.ThisNode = s.Status.Name, s.Status.Address, true
	if s.Status.Journal != nil {
		self.Unfinished = fmt.Sprintf("%s, stopped at %q", s.Status.Journal.Operation, s.Status.Journal.Step)
		if do := s.Status.Journal.Completes(); do != "" {
			self.Unfinished += "; " + do
		}
	}
	if st == nil || st.Peer == nil {
		return self.judged(), nil
	}
	p := Node{Source: NoWord}
	switch r := s.Status.Report; {
	case s.Peer != nil:
		p = fromReport(*s.Peer, s.At)
	case r != nil:
		p = s.lastHeard(*r)
	default:
		p.Status = NodeStatus{"u", "unknown"}
		p.Problems = []Problem{{Message: fmt.Sprintf("nothing is known of it: keytrusteed does not answer on %s, and %s", s.Status.Name, s.PeerTrouble)}}
	}
	p.Name, p.Host = st.Peer.Name, st.Peer.Address
	p = p.judged()
	return self.judged(), &p
}

// fromReport is a host by its own word.
func fromReport(r replication.Report, at time.Time) Node {
	n := Node{Source: OwnWord, Duty: r.Duty, Epoch: r.Epoch, Daemon: ptr(true), Database: ptr(r.Local.Answers), Reads: string(r.Reads.Served),
		SystemID: r.SystemID, Confirmed: r.Confirmed, DiskFree: r.DiskFree, DiskSize: r.DiskSize}
	n.server(r.Local, at)
	n.Age = age(r.PeerAge)
	if r.PeerAge != replication.Never {
		n.ClockSkew = ptr(r.Skew.Seconds())
	}
	if r.Duty == replication.Active {
		n.RootProof = age(r.RootProofAge)
	}
	n.Status, n.State = statusOf(r)
	n.trouble(r)
	if b := r.Beside; b != nil {
		n.Release, n.Recovery, n.AuditTrouble, n.AuditLost, n.Syslog, n.SyslogLost = b.Release, b.Recovery, b.AuditTrouble, b.AuditLost, b.Syslog, b.SyslogLost
		n.Backups, n.Foreign = b.Backups, b.Foreign
		n.Certificates = map[string]float64{}
		for name, expires := range b.Certificates {
			n.certificate(name, b.Begins[name], expires, at)
		}
	}
	if r.PeerName != "" {
		n.Sees = sees(r)
	}
	return n
}

// certificate notes from when to when a certificate is good. The clocks of two hosts are never quite the same.
func (n *Node) certificate(name string, begins, expires, at time.Time) {
	n.Certificates[name] = days(expires, at)
	if begins.After(at.Add(muchSkew)) {
		if n.Begins == nil {
			n.Begins = map[string]time.Time{}
		}
		n.Begins[name] = begins.UTC()
	}
}

// server is what its PostgreSQL says, now or when it last answered.
func (n *Node) server(s replication.Server, at time.Time) {
	if s.Version > 0 {
		n.PostgreSQL = fmt.Sprintf("%d.%d", s.Version/10000, s.Version%10000)
	}
	n.Timeline, n.Flushed = s.Timeline, s.Flushed
	if s.Role == replication.Standby {
		n.Replayed = s.Replayed
	}
	if what := damage(s); what != "" {
		n.problem(nil, "%s", what)
	}
	if s.Answers && !s.Started.IsZero() {
		n.Uptime = at.Sub(s.Started).Truncate(time.Second).Seconds()
	}
}

// statusOf is a host's status by its own word, and what it does.
func statusOf(r replication.Report) (NodeStatus, string) {
	ready := NodeStatus{"r", "ready"}
	switch {
	case r.Fenced != nil || r.Reason == replication.Fenced:
		return NodeStatus{"f", "fenced"}, "fenced"
	case r.Operation != nil && r.Operation.Kind != replication.KindHold:
		return NodeStatus{"o", fmt.Sprintf("%s: %s", r.Operation.Kind, r.Operation.Step)}, string(r.Operation.Kind)
	case r.Reason == replication.Joining && r.Duty == replication.Passive:
		return NodeStatus{"j", "joining"}, "joining"
	case !r.Local.Answers:
		return NodeStatus{"d", "its database is down"}, "database down"
	case r.Reads.Served == replication.Nothing:
		return NodeStatus{"s", "starting"}, "starting"
	case r.Duty == replication.Passive && r.Local.Receiver == "streaming":
		return ready, "streaming"
	case r.Duty == replication.Passive:
		return ready, "not streaming"
	}
	return ready, "serving"
}

// trouble is what the host itself says is wrong.
func (n *Node) trouble(r replication.Report) {
	switch {
	case r.Fenced != nil:
		n.problem(utc(r.Fenced.Since), "fenced: %s: %s", r.Fenced.Reason, r.Fenced.Detail)
	case r.Reason != "" && !aboutTheOther[r.Reason]:
		n.problem(utc(r.Since), "%s: %s", r.Reason, r.What)
	case r.Reads.Served != replication.Everything:
		n.problem(nil, "%s: %s", lacking[r.Reads.Served], strings.TrimPrefix(r.Reads.Sentence, "keytrusteed: "))
	}
	if !r.Local.Answers && r.Reason != replication.Starting {
		n.problem(nil, "its database does not answer: %s", r.Local.Trouble)
	}
	if s := r.Slot; s != nil && s.WALStatus != "reserved" && s.WALStatus != "extended" {
		n.problem(nil, "the replication slot %s is %s", s.Name, s.WALStatus)
	}
}

// lacking is what a host does not serve.
var lacking = map[replication.Extent]string{replication.Known: "known keys are read there, but no lists and no unknown names", replication.Nothing: "nothing is read there"}

// aboutTheOther are the reasons for which an active takes no writes and which are not its own trouble: the other node has them,
// or both.
var aboutTheOther = map[replication.Reason]bool{replication.PassiveUnreachable: true, replication.PassiveNotStreaming: true,
	replication.PassiveNotSynchronous: true, replication.PassiveStale: true, replication.ReplayPaused: true, replication.PassiveDaemonDown: true,
	replication.ActiveUnreachable: true, replication.NoPassive: true, replication.Joining: true, replication.SyncNotEnabled: true,
	replication.OperatorHold: true, replication.Switchover: true, replication.Restoring: true, replication.NeedsClone: true}

// lastHeard is the other host as r's daemon last heard it: its own word can not be had now.
func (s Sight) lastHeard(r replication.Report) Node {
	n := Node{Source: PeersWord, Daemon: ptr(r.PeerAnswers)}
	heard := r.PeerHeard
	switch {
	case s.PeerEpoch != nil:
		n = Node{Source: NoWord, Daemon: ptr(true), Epoch: *s.PeerEpoch, Status: NodeStatus{"u", "turns this host away"}}
		n.problem(nil, "%s", s.PeerTrouble)
		return n
	case r.PeerAnswers:
		n.Status = NodeStatus{"r", "answers, and does not say more"}
		n.problem(nil, "its own view can not be had: %s", s.PeerTrouble)
	case heard.IsZero():
		n.Status, n.Source = NodeStatus{"d", "down"}, NoWord
		n.problem(nil, "it does not answer, and has not since keytrusteed started on %s: nothing is known of it (%s)", r.Self, s.PeerTrouble)
		return n
	default:
		n.Status, n.AsOf = NodeStatus{"d", "down"}, utc(heard)
		n.problem(utc(heard), "it does not answer; what is said of it was so when it was last heard")
	}
	a := r.Peer
	if a.Epoch.IsZero() { // it has asked, and never answered
		n.Source = NoWord
		return n
	}
	n.Duty, n.Epoch, n.SystemID, n.DiskFree, n.DiskSize = a.Duty, a.Epoch, a.Server.SystemID, a.DiskFree, a.DiskSize
	n.server(a.Server, s.At)
	if a.Fenced != "" {
		n.Status = NodeStatus{"f", "fenced"}
		n.problem(nil, "fenced: %s", a.Fenced)
	}
	if n.AsOf != nil {
		n.Uptime = 0
	} else {
		n.Database = ptr(a.Server.Answers)
	}
	return n
}

// fromFiles is a host whose daemon does not answer.
func (s Sight) fromFiles() Node {
	n := Node{Source: FilesWord, Daemon: ptr(false), Status: NodeStatus{"d", "keytrusteed does not answer"}, Recovery: s.Status.Recovery.String()}
	n.Certificates = map[string]float64{}
	for _, c := range s.Status.Certificates {
		n.certificate(c.Name(), c.Begins, c.Expires, s.At)
		if c.Foreign {
			n.Foreign = append(n.Foreign, c.Name())
		}
	}
	st := s.Status.State
	if st == nil {
		n.Status = NodeStatus{"none", "not clustered"}
		return n
	}
	n.problem(nil, "%s", s.Down)
	n.Duty, n.Epoch, n.SystemID, n.Confirmed = st.Duty, st.Epoch, st.SystemID, st.LastConfirmed
	if st.Duty == replication.Active {
		n.Confirmed = st.Confirmed.Position
	}
	if st.Fenced != nil {
		n.Status = NodeStatus{"f", "fenced"}
		n.problem(utc(st.Fenced.Since), "fenced: %s: %s", st.Fenced.Reason, st.Fenced.Detail)
	}
	return n
}

func ptr[T any](v T) *T { return &v }

func utc(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return ptr(t.UTC().Truncate(time.Millisecond))
}

func age(d time.Duration) *float64 {
	if d == replication.Never {
		return nil
	}
	return ptr(d.Truncate(time.Millisecond).Seconds())
}

func days(expires, at time.Time) float64 { return math.Floor(expires.Sub(at).Hours()/24*10) / 10 }
