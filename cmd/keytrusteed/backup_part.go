package main

import (
	"fmt"
	"time"

	"keytrustee/replication"
)

// takeover is how long the host that should make the backups may be away until the other one makes them: longer than a restart, and
// than any gate that flaps. The two do not both make one in that time, and no hour is missed for it.
const takeover = 5 * time.Minute

// backupPart says whether it is this host that makes the next backup of the pair, and who does, and why. The passive does while it is
// confirmed, by the active's word, for all that it has is on both hosts; the active does while it has no such passive, and a passive that
// does not hear its active. The active makes one too when the newest of the pair is late, for then its passive does not. up is when this
// daemon started, late from when on the newest backup is too old.
func backupPart(r replication.Report, up, late, now time.Time) (mine bool, part string) {
	switch {
	case r.Fenced != nil:
		return false, "not this host, which is fenced"
	case r.Duty == replication.Active && r.PeerName == "":
		return true, "this host, which has no passive"
	case r.Duty == replication.Active && r.Open && standsIn(r, up, late, now):
		return true, fmt.Sprintf("this host too, for %s, the passive, which is confirmed, has made none in time", r.PeerName)
	case r.Duty == replication.Active && r.Open:
		return false, fmt.Sprintf("%s, the passive, which is confirmed", r.PeerName)
	case r.Duty == replication.Active:
		return waited(r.Turned, now, fmt.Sprintf("this host, for %s, its passive, does not count as confirmed while writes are refused (%s)", r.PeerName, r.Reason), r.PeerName+", the passive")
	case r.Reads.Served == replication.Nothing:
		return false, "not this host, whose copy is not known to be whole"
	case r.PeerAnswers && r.ActiveGate != nil && r.ActiveGate.Open && r.Reason == "":
		return true, "this host, the passive, which is confirmed"
	case r.PeerAnswers && r.ActiveGate == nil:
		return false, fmt.Sprintf("%s, the active, which has not said yet whether it takes writes", r.PeerName)
	case r.PeerAnswers && !r.ActiveGate.Open:
		return false, fmt.Sprintf("%s, the active, for this host does not count as confirmed while writes are refused (%s)", r.PeerName, r.ActiveGate.Reason)
	case r.PeerAnswers:
		return false, fmt.Sprintf("%s, the active, for this host is not confirmed (%s)", r.PeerName, r.Reason)
	}
	silent := r.PeerHeard
	if silent.Before(up) { // this daemon has not heard it yet
		silent = up
	}
	return waited(silent, now, fmt.Sprintf("this host, for %s, the active, is not heard", r.PeerName), r.PeerName+", the active")
}

// standsIn reports whether a confirmed passive has had its time: since its backup was late, since it is confirmed, and since this daemon
// runs, for a pair that was down begins with one that is late.
func standsIn(r replication.Report, up, late, now time.Time) bool {
	since := later(later(up, late), r.Turned)
	return !now.Before(since.Add(takeover))
}

// waited lets the other host have its time, from since on.
func waited(since, now time.Time, here, there string) (bool, string) {
	if until := since.Add(takeover); now.Before(until) {
		return false, fmt.Sprintf("%s; this host from %s on, if that is away for so long", there, until.UTC().Format("15:04:05 UTC"))
	}
	return true, here
}
