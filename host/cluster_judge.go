package host

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"keytrustee/postgres"
	"keytrustee/replication"
)

// The limits beyond which a node is BAD.
const (
	fewDays   = 14
	fewBytes  = 512 << 20 // writes are refused at half of it
	fullDisk  = 0.1       // free
	muchSkew  = 2 * time.Second
	manyBytes = 16 << 20 // of slot_safe_bytes
)

func (n *Node) problem(since *time.Time, format string, args ...any) {
	n.Problems = append(n.Problems, Problem{Message: strings.TrimSuffix(fmt.Sprintf(format, args...), ": "), Since: since})
}

// judged is n with everything that is wrong with it.
func (n Node) judged() Node {
	for _, name := range slices.Sorted(maps.Keys(n.Certificates)) {
		if begins, early := n.Begins[name]; early {
			what, do := notYet(name, begins, slices.Contains(n.Foreign, name))
			n.problem(nil, "%s", strings.ReplaceAll(what+": "+do, "this host", n.Name))
			continue
		}
		if left := n.Certificates[name]; left < fewDays {
			end := fmt.Sprintf("expires in %.0f days", left)
			if left < 0 {
				end = "has EXPIRED"
			}
			n.problem(nil, "the %s certificate %s: %s (%s)", name, end, strings.Replace(renewal(name, slices.Contains(n.Foreign, name)), "this host", n.Name, 1), certificatePage)
		}
	}
	if n.AsOf == nil && n.DiskSize > 0 && (n.DiskFree < fewBytes || float64(n.DiskFree) < fullDisk*float64(n.DiskSize)) {
		n.problem(nil, "its disk has %s left of %s", size(n.DiskFree), size(n.DiskSize))
	}
	if n.ClockSkew != nil && n.Duty == replication.Active && max(*n.ClockSkew, -*n.ClockSkew) > muchSkew.Seconds() {
		n.problem(nil, "the clocks of the hosts are %.0f s apart", max(*n.ClockSkew, -*n.ClockSkew))
	}
	if n.AuditTrouble != "" {
		n.problem(nil, "the audit log can not be written: %s", n.AuditTrouble)
	}
	if n.Syslog != "" && n.Syslog != replication.SyslogConnected {
		n.problem(nil, "the receiver of syslog is not connected: %s", n.Syslog)
	}
	if n.Unfinished != "" {
		n.problem(nil, "unfinished: %s", n.Unfinished)
	}
	n.Summary = Good
	for i := range n.Problems {
		n.Problems[i].Node = n.Name
		n.Summary = Bad
	}
	return n
}

// problemsOf are those of the pair, then those of its nodes.
func problemsOf(c Cluster) (all []Problem) {
	add := func(since *time.Time, format string, args ...any) {
		all = append(all, Problem{Message: fmt.Sprintf(format, args...), Since: since})
	}
	if w := c.Writes; w.State != WritesOpen {
		reason := string(w.Why)
		if reason == "" {
			reason = w.What
		}
		add(w.Since, "writes are refused: %s", reason)
	}
	releases, recovery := map[string]bool{}, ""
	for _, n := range c.Nodes {
		if n.Release != "" {
			releases[n.Release] = true
		}
		if n.Recovery == "confirmed" || n.Duty == replication.Active && recovery != "confirmed" {
			recovery = n.Recovery
		}
		if s := n.Sees; s != nil && !s.Answers && c.otherAnswers(n) {
			add(s.Heard, "%s does not hear %s, which answers: the network between them is cut one way", n.Name, s.Node)
		}
	}
	if len(releases) > 1 {
		add(nil, "the hosts run different releases: %s", strings.Join(slices.Sorted(maps.Keys(releases)), ", "))
	}
	if do := map[string]string{"unconfirmed": "ktadmin root-key confirm-recovery --key-file FILE", "missing": "ktadmin init --recovery-key-out FILE"}[recovery]; do != "" {
		add(nil, "the recovery key is %s: if both hosts are lost, every key may be. On the active: %s", recovery, do)
	}
	if what := backupProblem(c); what != "" {
		add(nil, "%s", what)
	}
	if l := c.Line; l != nil && l.SlotSafe != nil && *l.SlotSafe < manyBytes {
		add(nil, "%s has to be cloned anew when %s more of WAL are written", l.To, size(uint64(max(0, *l.SlotSafe))))
	}
	for _, n := range c.Nodes {
		all = append(all, n.Problems...)
	}
	return all
}

// otherAnswers: the node beside n has given its own word.
func (c Cluster) otherAnswers(n Node) bool {
	return slices.ContainsFunc(c.Nodes, func(o Node) bool { return o.Name != n.Name && o.Source == OwnWord })
}

// sees is what r's host sees of the other one.
func sees(r replication.Report) *Sees {
	s := &Sees{Node: r.PeerName, Answers: r.PeerAnswers, Heard: utc(r.PeerHeard), Summary: Good}
	switch {
	case !r.PeerAnswers:
		s.Summary, s.Why = Bad, "it is not heard"
	case r.Peer.Fenced != "":
		s.Summary, s.Why = Bad, "it is fenced: "+string(r.Peer.Fenced)
	case r.Duty == replication.Active && !r.Open && aboutTheOther[r.Reason] && r.Operation == nil:
		s.Summary, s.Why = Bad, r.What
	case r.Duty == replication.Passive && r.ActiveGate != nil && !r.ActiveGate.Open:
		s.Summary, s.Why = Bad, "it refuses writes: "+string(r.ActiveGate.Reason)
	}
	return s
}

// line is the replication as the active r sees it; nil while it has no passive.
func line(r replication.Report) *Line {
	if r.PeerName == "" {
		return nil
	}
	l := &Line{From: r.Self, To: r.PeerName, Blocked: r.Peer.Server.ReplayPaused, Waiting: r.Waiting, WaitedFor: r.Canary.Truncate(time.Millisecond).Seconds()}
	if b := r.Beside; b != nil {
		l.Unshown = b.Unconfirmed
	}
	if s := r.Slot; s != nil {
		l.Slot, l.SlotStatus, l.SlotSafe = s.Name, s.WALStatus, s.SafeBytes
	}
	for _, row := range r.Standbys {
		if !strings.EqualFold(row.Application, r.StandbyName) {
			continue
		}
		l.Connected, l.Since, l.State, l.SyncState = true, utc(row.Since), row.State, row.SyncState
		l.SentLSN, l.WriteLSN, l.FlushLSN, l.ReplayLSN = row.SentLSN, row.WriteLSN, row.FlushLSN, row.ReplayLSN
		behind := func(p postgres.LSN) *uint64 { return ptr(uint64(max(r.Local.Flushed, p) - p)) }
		l.SentLag, l.WriteLag, l.FlushLag, l.ReplayLag = behind(row.SentLSN), behind(row.WriteLSN), behind(row.FlushLSN), behind(row.ReplayLSN)
		l.WriteTime, l.FlushTime, l.ReplayTime = lag(row.WriteLag), lag(row.FlushLag), lag(row.ReplayLag)
	}
	return l
}

func lag(d *time.Duration) float64 {
	if d == nil {
		return 0
	}
	return d.Seconds()
}

// Name is what the certificate is for: public, cluster or authority.
func (c Certificate) Name() string {
	switch filepath.Base(c.File) {
	case "cluster.pem":
		return "cluster"
	case "ssl-cert-keytrustee.pem":
		return "public"
	}
	return "authority"
}

// size is a number of bytes for people.
func size(n uint64) string {
	const kilo = 1024
	if n < kilo {
		return fmt.Sprintf("%d bytes", n)
	}
	v, unit := float64(n), 0
	for v >= kilo && unit < 5 {
		v, unit = v/kilo, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", v, "  KMGTP"[unit+1])
}
