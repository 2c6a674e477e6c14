package replication

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"keytrustee/postgres"
)

// identity looks at the last whole answer, however old: a passive of another world is not one that is away.
func identity(s Status, _ Policy) Decision {
	if s.Peer.Epoch.IsZero() {
		return fine // it has not answered yet; presence says so
	}
	switch {
	case s.Peer.Fenced != "":
		return shut(s.Peer.Fenced, "{peer} has fenced itself")
	case s.untaken():
		return shut(IdentityMismatch, "{peer} has copy %s of the data, which has not been taken in; the one that joined is %s", s.Peer.Incarnation, s.Incarnation)
	case s.Peer.Epoch != s.Epoch:
		return shut(EpochConflict, "{self} is of epoch %s, {peer} of the older %s", s.Epoch, s.Peer.Epoch)
	case s.Peer.Duty != Passive || s.Peer.Server.Answers && s.Peer.Server.Role != Standby:
		return shut(IdentityMismatch, "{peer} is not a passive with a standby")
	case s.Peer.Incarnation != s.Incarnation:
		return shut(IdentityMismatch, "{peer} has copy %s of the data, the one that joined is %s", s.Peer.Incarnation, s.Incarnation)
	case s.Peer.Server.Answers && s.Peer.Server.SystemID != s.SystemID:
		return shut(IdentityMismatch, "{peer} has the database with system identifier %d, {self} has %d", s.Peer.Server.SystemID, s.SystemID)
	}
	return fine
}

// untaken reports whether what answers in the place of the passive is a copy of this active's data that has not come in, or whose
// join was given up: a host that was cloned anew keeps its name and its key. Its epoch has begun nowhere, so to meet it is no
// conflict. What another active has confirmed, or this one in what it has forgotten, is none of these.
func (s Status) untaken() bool {
	return s.Duty == Active && s.Peer.Duty == Passive && s.Peer.Unconfirmed && s.Peer.Incarnation != s.Incarnation
}

func comparison(s Status, _ Policy) Decision {
	if v := s.Standing.Verdict; v != "" && v != VerdictCompared {
		return shut(Reason(v), "%s", s.Standing.Detail)
	}
	if s.Slot != nil && s.Slot.WALStatus == "lost" {
		return shut(NeedsClone, "the replication slot %s has lost WAL", s.Slot.Name)
	}
	return fine
}

func syncNotEnabled(s Status, _ Policy) Decision {
	if !s.SyncEnabled {
		return shut(SyncNotEnabled, "")
	}
	return fine
}

// presence: is the passive there at all? A walsender that still counts the passive as streaming is what a frozen host
// looks like for its first seconds.
func presence(s Status, p Policy) Decision {
	_, streaming := s.row()
	const trouble = "its daemon answers, its database does not"
	switch {
	case s.PeerAge <= p.HeartbeatLimit:
		return fine
	case s.ReplyAge <= p.HeartbeatLimit && streaming:
		return shut(PassiveStale, trouble)
	case s.ReplyAge <= p.HeartbeatLimit:
		return shut(PassiveNotStreaming, trouble)
	case streaming:
		return unheard(PassiveDaemonDown, s)
	}
	return unheard(PassiveUnreachable, s)
}

// unheard is that the peer says nothing that counts: it is gone, or shows a certificate that is not good now.
func unheard(r Reason, s Status) Decision {
	if s.PeerExpired != "" {
		return shut(r, "%s", s.PeerExpired).better("Renew it on {peer}: ktadmin certs renew; see docs/runbook/certificate-expired.md. If a clock is wrong, put it right.")
	}
	return shut(r, "%s", heard(s))
}

func heard(s Status) string {
	if s.HeardAge == Never {
		return "not heard since {self} started"
	}
	return ""
}

func versions(s Status, p Policy) Decision {
	switch {
	case s.Peer.Protocol != Protocol:
		return shut(VersionMismatch, "cluster protocol %d here, %d there", Protocol, s.Peer.Protocol)
	case s.Local.Version/10000 != s.Peer.Server.Version/10000:
		return shut(VersionMismatch, "PostgreSQL %d here, %d there", s.Local.Version/10000, s.Peer.Server.Version/10000)
	case s.Skew.Abs() > p.SkewLimit:
		return shut(ClockSkew, "%.0f s", s.Skew.Abs().Seconds())
	}
	return fine
}

// ownSettings: what this server must be set to, so that COMMIT waits for the named standby and for nobody else.
func ownSettings(s Status, _ Policy) Decision {
	want := map[string]string{"synchronous_commit": "remote_apply", "synchronous_standby_names": synchronousNames(s.StandbyName, s.SyncEnabled)}
	maps.Copy(want, durableSettings)
	if bad := differences(s.Local.Settings, want); bad != "" {
		return shut(UnsafeSettings, "on {self}: %s", bad)
	}
	if s.Local.Overrides > 0 {
		return shut(UnsafeSettings, "on {self}: settings of a role or a database, see pg_db_role_setting")
	}
	return fine
}

func peerSettings(s Status, _ Policy) Decision {
	want := map[string]string{"hot_standby": "on", "recovery_min_apply_delay": "0"}
	maps.Copy(want, durableSettings)
	if bad := differences(s.Peer.Server.Settings, want); bad != "" {
		return shut(UnsafeSettings, "on {peer}: %s", bad)
	}
	if s.Peer.Server.ReplayPaused {
		return shut(ReplayPaused, "").better("Resume it on {peer}, as root: " + s.peerConsole.run(resumeReplay))
	}
	return fine
}

// durableSettings make "flushed" true, on either host.
var durableSettings = map[string]string{"fsync": "on", "full_page_writes": "on", "data_sync_retry": "off", "data_checksums": "on",
	"zero_damaged_pages": "off", "ignore_checksum_failure": "off", "restart_after_crash": "off"}

func differences(have, want map[string]string) string {
	var bad []string
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if have[name] != want[name] {
			bad = append(bad, fmt.Sprintf("%s is %s, must be %s", name, have[name], want[name]))
		}
	}
	return strings.Join(bad, "; ")
}

// streaming: exactly one standby of the name, and it is the one that joined.
func streaming(s Status, _ Policy) Decision {
	row, ok := s.row()
	n := 0
	for _, r := range s.Standbys {
		if strings.EqualFold(r.Application, s.StandbyName) { // PostgreSQL compares the name in this way
			n++
		}
	}
	switch {
	case n > 1:
		return shut(IdentityMismatch, "%d standbys call themselves %s", n, s.StandbyName).better(s.impostor())
	case n == 1 && row.PID != 0 && (row.User != postgres.Replicator || commonName(row.ClientDN) != s.PeerName):
		return shut(IdentityMismatch, "the standby %s is user %q with certificate %q", s.StandbyName, row.User, row.ClientDN).better(s.impostor())
	case s.Standing.Verdict == "":
		return shut(Starting, "the histories of {self} and {peer} have not been compared since one of the databases started")
	case !ok:
		return shut(PassiveNotStreaming, "%s", row.State)
	case row.SyncState != "sync":
		return shut(PassiveNotSynchronous, "it is %s", row.SyncState)
	}
	return fine
}

// impostor is what to do where something streams that is not the passive.
func (s Status) impostor() string {
	return "See on {self}, as root, who streams: " + s.console.run("select pid, application_name, usename, client_addr, state from pg_stat_replication") +
		" and end what is not {peer}, by its pid: " + s.console.run("select pg_terminate_backend(PID)")
}

// row is the standby of the expected name; ok when it is streaming.
func (s Status) row() (row StandbyRow, ok bool) {
	for _, r := range s.Standbys {
		if strings.EqualFold(r.Application, s.StandbyName) {
			return r, r.State == "streaming"
		}
	}
	return StandbyRow{}, false
}

// commonName is the CN of a distinguished name as PostgreSQL writes it: /O=Keytrustee/CN=kt02.
func commonName(dn string) string {
	for part := range strings.SplitSeq(dn, "/") {
		if cn, ok := strings.CutPrefix(part, "CN="); ok {
			return cn
		}
	}
	return ""
}

func progress(s Status, p Policy) Decision {
	if s.Canary > p.StaleLimit {
		return shut(PassiveStale, "a position waits for %.1f s, {peer} has flushed %s and replayed %s", s.Canary.Seconds(), s.Peer.Server.Flushed, s.Peer.Server.Replayed)
	}
	return fine
}

// whole: a passive that has just joined could not take over yet; see Horizon.covering.
func whole(s Status, _ Policy) Decision {
	if s.Peer.Unconfirmed {
		return shut(Joining, "{peer} does not know yet that it has all that was acknowledged before it came").better(wholeSoon)
	}
	return fine
}

const wholeSoon = "That needs both hosts, whose services run, and no more than a moment; if it stays so, the log of keytrusteed on either says why."

func rootProofs(s Status, p Policy) Decision {
	switch {
	case s.RootProofError != "":
		return shut(RootKeyMismatch, "%s", s.RootProofError)
	case s.RootProofAge == Never:
		return shut(Starting, "no proof of the root keys yet")
	case s.RootProofAge > p.RootProofLimit:
		return shut(RootKeyMismatch, "the last proof is %.0f s old", s.RootProofAge.Seconds())
	}
	return fine
}

func room(s Status, p Policy) Decision {
	switch {
	case s.StateTrouble != "":
		return shut(DiskLow, "{self}: %s", s.StateTrouble)
	case s.Peer.StateTrouble != "":
		return shut(DiskLow, "{peer}: %s", s.Peer.StateTrouble)
	case s.DiskFree < p.DiskFloor:
		return shut(DiskLow, "{self} has %d MiB left, wanted are %d", s.DiskFree>>20, p.DiskFloor>>20)
	case s.Peer.DiskFree < p.DiskFloor:
		return shut(DiskLow, "{peer} has %d MiB left, wanted are %d", s.Peer.DiskFree>>20, p.DiskFloor>>20)
	case s.Slot == nil:
		return shut(WALRetention, "the replication slot %s does not exist", s.StandbyName)
	case s.Slot.WALStatus != "reserved" && s.Slot.WALStatus != "extended":
		return shut(WALRetention, "the replication slot %s is %s", s.Slot.Name, s.Slot.WALStatus)
	}
	return fine
}

// through: after a cut the daemons hear each other before the databases do, whose connection may be about to end for what it missed. It is
// the last rule: nothing is written where another one holds.
func through(s Status, p Policy) Decision {
	if s.Through > p.StaleLimit {
		return shut(PassiveStale, "nothing that was written in the last %.1f s has come through to {peer} yet", p.StaleLimit.Seconds())
	}
	return fine
}

func notReady(s Status, _ Policy) Decision {
	if !s.Standing.Ready {
		return shut(Starting, "the database of {self} has not yet replayed what it had confirmed")
	}
	return fine
}

// activeGone: no nonce, no answer, no WAL message.
func activeGone(s Status, p Policy) Decision {
	if s.HeardAge > p.AnswerLimit && s.MessageAge > p.AnswerLimit {
		return unheard(ActiveUnreachable, s)
	}
	return fine
}
