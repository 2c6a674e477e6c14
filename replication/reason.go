package replication

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// Reason says why the gate is shut. The texts are one enumeration, used unchanged in HTTP bodies, logs and status.
type Reason string

// Every reason there is. Busy and AuditUnavailable are found elsewhere in the house; they stand here so that the
// enumeration is whole.
const (
	Starting              Reason = "starting"
	SyncNotEnabled        Reason = "sync_not_enabled"
	NoPassive             Reason = "no_passive"
	Joining               Reason = "joining"
	Switchover            Reason = "switchover"
	Restoring             Reason = "restoring"
	OperatorHold          Reason = "operator_hold"
	PassiveUnreachable    Reason = "passive_unreachable"
	PassiveNotStreaming   Reason = "passive_not_streaming"
	PassiveNotSynchronous Reason = "passive_not_synchronous"
	PassiveStale          Reason = "passive_stale"
	ReplayPaused          Reason = "replay_paused"
	PassiveDaemonDown     Reason = "passive_daemon_down"
	IdentityMismatch      Reason = "identity_mismatch"
	RootKeyMismatch       Reason = "root_key_mismatch"
	EpochConflict         Reason = "epoch_conflict"
	HistoryDiffers        Reason = "history_differs"
	PassiveAhead          Reason = "passive_ahead"
	NeedsClone            Reason = "needs_clone"
	UnsafeSettings        Reason = "unsafe_settings"
	AuditUnavailable      Reason = "audit_unavailable"
	VersionMismatch       Reason = "version_mismatch"
	ClockSkew             Reason = "clock_skew"
	DiskLow               Reason = "disk_low"
	WALRetention          Reason = "wal_retention"
	Fenced                Reason = "fenced"
	Busy                  Reason = "busy"
	ActiveUnreachable     Reason = "active_unreachable" // at the passive only
)

// wording is a reason in words. {self} and {peer} stand for the hosts' names.
type wording struct {
	what   string // continues "write refused: "
	remedy string // a sentence
}

// Reasons are all of them, in alphabetical order.
func Reasons() []Reason { return slices.Sorted(maps.Keys(wordings)) }

const runbook = "docs/runbook/restore-from-passive.md"

// What brings a host back whose data is not the good copy, or a passive that is missing.
const (
	restoreSelf = "stop its services, run ktadmin join-token on {peer}, and with that token ktadmin restore --from-survivor ADDRESS --token-file FILE on {self}"
	joinOne     = "Join one, with a token of ktadmin join-token on {self}: ktadmin init-slave on a new host, ktadmin init-slave --reclone on one that was of the pair."
	reclonePeer = "stop its services and run ktadmin init-slave --reclone on it"
)

var wordings = map[Reason]wording{
	Starting:              {"{self} is starting and has not yet seen everything it needs", "Try again in a moment; if it stays so, the log of keytrusteed on {self} says why."},
	SyncNotEnabled:        {"replication to {peer} is not synchronous yet", "Run ktadmin enable-synchronous-replication on {self}."},
	NoPassive:             {"{self} has no passive", joinOne},
	Joining:               {"a passive is joining", "Wait for ktadmin init-slave to end, then start its services."},
	Switchover:            {"a switchover is under way", "Wait for it to end."},
	Restoring:             {"a restore is under way", "When ktadmin restore has ended on {peer}, start its services; writes open by themselves. If it broke off, repeat it there, or give it up on either host: ktadmin restore --abort"},
	OperatorHold:          {"an operator has put writes on hold", "It ends by itself; ktadmin cluster release ends it now."},
	PassiveUnreachable:    {"the passive {peer} can not be reached", "Start keytrustee-db and keytrusteed on {peer}, or look at the network between the hosts. If {peer} was promoted meanwhile, it is the active: ask there, and leave {self} off."},
	PassiveNotStreaming:   {"the passive {peer} is not replicating", "Look at keytrustee-db and its log on {peer}."},
	PassiveNotSynchronous: {"the passive {peer} replicates, but not synchronously", "Wait until it has caught up; then look at the log of keytrustee-db on {self}."},
	PassiveStale:          {"the passive {peer} does not keep up: it no longer confirms what it is sent", "Look at the load, the disk and the log of keytrustee-db on {peer}."},
	ReplayPaused:          {"replay is paused on the passive {peer}", "Resume it on {peer}, as root: " + console{}.run(resumeReplay)},
	PassiveDaemonDown:     {"keytrusteed on the passive {peer} does not answer", "Start keytrusteed on {peer}."},
	IdentityMismatch:      {"what answers as {peer} is not the passive that joined", "Put {peer}'s own data back, or clone it anew: " + reclonePeer + "; see " + runbook + "."},
	RootKeyMismatch:       {"the two hosts have not both proven that they can open the key-encryption key from their root keys", "The host that is named needs its own root.key and kek/ in its confdir, readable by the service's user; they are looked at every 20 s. If root.key is gone for good, with the recovery key: ktadmin root-key recover --recovery-key FILE there; see docs/runbook/root-key-lost.md."},
	EpochConflict:         {"{self} and {peer} are of different epochs", "Find out which of them is current: ktadmin status on both hosts; see " + runbook + "."},
	HistoryDiffers:        {"the databases of {self} and {peer} are not one history", "If the data of {self} was put back from an older copy, {peer} holds the good one: put the newer data of {self} back, or " + restoreSelf + ". Otherwise clone {peer} anew: " + reclonePeer + ", with a token of ktadmin join-token --replace on {self}. See " + runbook + "."},
	PassiveAhead:          {"the passive {peer} holds changes that {self} lacks: the good copy is the one on {peer}", "Change nothing on {peer}. Put the newer data of {self} back, or " + restoreSelf + "; see " + runbook + "."},
	NeedsClone:            {"{self} no longer has the changes that the passive {peer} lacks", "Clone {peer} anew: " + reclonePeer + "; see " + runbook + "."},
	UnsafeSettings:        {"a setting makes commits less durable than promised", "Put it right and reload or restart keytrustee-db."},
	AuditUnavailable:      {"the audit log can not be written on {self}", "Look at the disk and the permissions of its log directory; the log of keytrusteed says more."},
	VersionMismatch:       {"{self} and {peer} run versions that do not work together", "Install the same release on both hosts."},
	ClockSkew:             {"the clocks of {self} and {peer} are more than five minutes apart", "Put the clocks right."},
	DiskLow:               {"a disk of the pair is almost full, or can not be written", "Make room where the database, the log and node/ lie on that host; see docs/runbook/disk-full.md."},
	WALRetention:          {"{self} keeps almost more WAL for {peer} than it may", "Bring {peer} back before it has to be cloned again."},
	Fenced:                {"{self} is fenced", "If another host has taken its place, clone it anew: stop its services and run ktadmin init-slave --reclone on it, with a token of ktadmin join-token on {peer}; see " + runbook + "."},
	Busy:                  {"{self} has too many writes under way", "Try again in a moment."},
	ActiveUnreachable:     {"the active {peer} can not be reached", "Start keytrustee-db and keytrusteed on {peer}, or look at the network between the hosts. If {peer} is lost for good, switch it off and run ktadmin cluster promote --fenced {peer} on {self}."},
}

// sentence tells a person what holds the gate, since when, and what to do.
func (d Decision) sentence(self, peer string, since time.Time) string {
	consequence := "keys can be read but not created, rolled or deleted"
	switch d.Reason {
	case Starting, Fenced, EpochConflict: // this host may not serve reads either
		consequence = "no key can be created, rolled or deleted"
	}
	return expand("keytrusteed: write refused: "+d.because(since)+"; "+consequence+". "+d.remedy(), self, peer)
}

// readSentence is sentence for a read.
func (d Decision) readSentence(self, peer string) string {
	return expand("keytrusteed: {self} can not answer for certain: "+d.because(time.Time{})+". "+d.remedy(), self, peer)
}

func (d Decision) remedy() string {
	if d.Remedy != "" {
		return d.Remedy
	}
	return wordings[d.Reason].remedy
}

func (d Decision) because(since time.Time) string {
	text := cmp.Or(d.what, wordings[d.Reason].what)
	if d.Detail != "" {
		text += " (" + d.Detail + ")"
	}
	if !since.IsZero() {
		text += ", since " + since.UTC().Format(stampLayout)
	}
	return text
}

// words are d without since when: what keeps the gate shut, and what to do.
func (d Decision) words(self, peer string) (what, do string) {
	return expand(d.because(time.Time{}), self, peer), expand(d.remedy(), self, peer)
}

// expand puts the hosts' names into a text. A host that is called after its duty, as on a pair on one machine, is named once.
func expand(text, self, peer string) string {
	if peer == "" {
		peer = "the other host"
	}
	text = strings.NewReplacer("{self}", self, "{peer}", peer).Replace(text)
	return strings.NewReplacer("the passive passive ", "the passive ", "the active active ", "the active ").Replace(text)
}
