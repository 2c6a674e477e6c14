package metrics

import (
	"math"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"keytrustee/replication"
)

// metric is a row of the table. docs/metrics.md has the same rows.
type metric struct {
	name   string // without the prefix
	help   string
	labels []string
	kind   prometheus.ValueType
	read   func(replication.Report, emit)
}

// emit gives a value, with the values of the labels.
type emit func(value float64, labels ...string)

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

// table is every metric that is read from a Report, in the order of docs/metrics.md. What is not known is left out.
var table = []metric{
	{"writes_open", "1 while this host is the active and takes writes.", nil, gauge, func(r replication.Report, e emit) { e(truth(r.Open)) }},
	{"gate_reason", "1 for the reason why this host takes no writes; at a passive, why it is not in order.", []string{"reason"}, gauge, gateReason},
	{"gate_since_timestamp_seconds", "When writes_open last changed or its reason did.", nil, gauge, func(r replication.Report, e emit) { moment(e, r.Since) }},
	{"duty", "1 for what this host is: active or passive.", []string{"duty"}, gauge, func(r replication.Report, e emit) {
		for _, d := range []replication.Duty{replication.Active, replication.Passive} {
			e(truth(r.Duty == d), string(d))
		}
	}},
	{"epoch", "The number of the epoch.", nil, gauge, func(r replication.Report, e emit) { e(float64(r.Epoch.Number)) }},
	{"fenced", "1 while this host is fenced.", nil, gauge, func(r replication.Report, e emit) { e(truth(r.Fenced != nil)) }},
	{"operation", "1 for the operation that is under way.", []string{"operation"}, gauge, operation},
	{"reads_served", "1 for how much is read at this host: everything, known (keys, but no lists), nothing.", []string{"extent"}, gauge, func(r replication.Report, e emit) {
		for _, x := range []replication.Extent{replication.Everything, replication.Known, replication.Nothing} {
			e(truth(r.Reads.Served == x), string(x))
		}
	}},
	{"database_up", "1 while this host's PostgreSQL answers.", nil, gauge, func(r replication.Report, e emit) { e(truth(r.Local.Answers)) }},
	{"damaged_pages_met", "How often this host's PostgreSQL has met a page whose checksum does not fit, since it was made or has crashed.", nil, gauge, func(r replication.Report, e emit) {
		if r.Local.Answers {
			e(float64(r.Local.Damaged))
		}
	}},
	{"peer_up", "1 while the other host's daemon was heard within 2 s.", nil, gauge, func(r replication.Report, e emit) { e(truth(r.PeerAnswers)) }},
	{"attested_age_seconds", "Age of the other host's newest whole answer. Writes are refused above 1 s.", nil, gauge, func(r replication.Report, e emit) { seconds(e, r.PeerAge) }},
	{"lag_bytes", "WAL that the active has on its disk and the passive does not have yet: flushed, replayed.", []string{"stage"}, gauge, lag},
	{"waiting_writes", "Writes that are committed here and wait for the passive.", nil, gauge, func(r replication.Report, e emit) { e(float64(r.Waiting)) }},
	{"unconfirmed_wait_seconds", "How long the oldest position has waited for the passive.", nil, gauge, func(r replication.Report, e emit) {
		if r.Duty == replication.Active {
			e(r.Canary.Seconds())
		}
	}},
	{"slot_safe_bytes", "WAL that may still be written before the passive has to be cloned anew.", nil, gauge, func(r replication.Report, e emit) {
		if r.Slot != nil && r.Slot.SafeBytes != nil {
			e(float64(*r.Slot.SafeBytes))
		}
	}},
	{"root_proof_age_seconds", "Age of the last proof that both hosts open the key-encryption key from their root keys.", nil, gauge, func(r replication.Report, e emit) {
		if r.Duty == replication.Active {
			seconds(e, r.RootProofAge)
		}
	}},
	{"clock_skew_seconds", "The other host's clock minus this one's.", nil, gauge, func(r replication.Report, e emit) {
		if r.PeerAge != replication.Never {
			e(r.Skew.Seconds())
		}
	}},
	{"disk_free_bytes", "What may still be written where the database and the state lie.", nil, gauge, func(r replication.Report, e emit) { e(float64(r.DiskFree)) }},
	{"disk_size_bytes", "The size of that disk.", nil, gauge, func(r replication.Report, e emit) { e(float64(r.DiskSize)) }},
	{"certificate_days", "Days until a certificate of this host expires: public, cluster, authority.", []string{"certificate"}, gauge, certificates},
	{"audit_up", "1 while the audit log can be written.", nil, gauge, beside(func(b replication.Beside, e emit) { e(truth(b.AuditTrouble == "")) })},
	{"audit_lost_total", "Lines of reads and notices that are missing in the audit log.", nil, counter, beside(func(b replication.Beside, e emit) { e(float64(b.AuditLost)) })},
	{"syslog_up", "1 while the receiver of syslog is connected; left out without one.", nil, gauge, beside(func(b replication.Beside, e emit) {
		if b.Syslog != "" {
			e(truth(b.Syslog == replication.SyslogConnected))
		}
	})},
	{"syslog_lost_total", "Messages that never reached the receiver of syslog.", nil, counter, beside(func(b replication.Beside, e emit) { e(float64(b.SyslogLost)) })},
	{"backup_age_seconds", "Age of this host's newest verified backup, since it was begun.", nil, gauge, backups(func(b replication.Backups, e emit) { e(age(b.Newest)) })},
	{"backup_failed", "1 while this host's last attempt to make a backup has led to none, and neither host has made one since.", nil, gauge, backups(func(b replication.Backups, e emit) {
		e(truth(b.Failure != "" && b.Tried.After(b.Newest) && b.Tried.After(b.Other)))
	})},
	{"backup_maker", "1 while it is this host that makes the backups of the pair.", nil, gauge, backups(func(b replication.Backups, e emit) { e(truth(b.Mine)) })},
	{"backup_recipients", "How many can read a backup; with 0 none is made.", nil, gauge, backups(func(b replication.Backups, e emit) { e(float64(b.Recipients)) })},
	{"backup_target_age_seconds", "Age of the newest backup of this host that a target has confirmed, by its place in backup_targets; left out without one.", []string{"target"}, gauge, backups(func(b replication.Backups, e emit) {
		for i, t := range b.Targets { // what a target is called may name a user
			e(age(t.Newest), strconv.Itoa(i+1))
		}
	})},
	{"backup_recipient_days", "Days until the first of the recipients of backups expires, so that none is made; left out while none does.", nil, gauge, backups(func(b replication.Backups, e emit) {
		if !b.Expires.IsZero() {
			e(left(b.Expires))
		}
	})},
	{"build_info", "1, with the release that runs.", []string{"version"}, gauge, beside(func(b replication.Beside, e emit) { e(1, b.Release) })},
}

// age is that of what was begun then, which has no end if that never was.
func age(begun time.Time) float64 {
	if begun.IsZero() {
		return math.Inf(1)
	}
	return math.Max(0, time.Since(begun).Seconds())
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func seconds(e emit, d time.Duration) {
	if d == replication.Never {
		e(math.Inf(1))
		return
	}
	e(d.Seconds())
}

func moment(e emit, t time.Time) {
	if !t.IsZero() {
		e(float64(t.UnixMilli()) / 1000)
	}
}

func gateReason(r replication.Report, e emit) {
	for _, reason := range replication.Reasons() {
		e(truth(!r.Open && r.Reason == reason), string(reason))
	}
}

func operation(r replication.Report, e emit) {
	for _, k := range []replication.OperationKind{replication.KindHold, replication.KindPromotion, replication.KindSwitchover, replication.KindRestore} {
		e(truth(r.Operation != nil && r.Operation.Kind == k), string(k))
	}
}

// lag is known to a host that has heard the other one at least once.
func lag(r replication.Report, e emit) {
	active, passive := r.Local, r.Peer.Server
	if r.Duty == replication.Passive {
		active, passive = passive, active
	}
	if active.Flushed == 0 || passive.Flushed == 0 {
		return
	}
	e(math.Max(0, float64(active.Flushed)-float64(passive.Flushed)), "flushed")
	e(math.Max(0, float64(active.Flushed)-float64(passive.Replayed)), "replayed")
}

func certificates(r replication.Report, e emit) {
	if r.Beside == nil {
		return
	}
	for name, expires := range r.Beside.Certificates {
		e(left(expires), name)
	}
}

// left is how many days there are until t.
func left(t time.Time) float64 { return math.Round(time.Until(t).Hours()/24*100) / 100 }

func beside(read func(replication.Beside, emit)) func(replication.Report, emit) {
	return func(r replication.Report, e emit) {
		if r.Beside != nil {
			read(*r.Beside, e)
		}
	}
}

func backups(read func(replication.Backups, emit)) func(replication.Report, emit) {
	return beside(func(b replication.Beside, e emit) {
		if b.Backups != nil {
			read(*b.Backups, e)
		}
	})
}
