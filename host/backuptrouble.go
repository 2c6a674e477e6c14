package host

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"keytrustee/replication"
)

const (
	noRecipients   = "nobody could read a backup, so none is made: if both hosts are lost, every key is"
	someRecipients = "%s can make no backup, for nobody could read it: while the other host makes none, there is none"
	giveRecipients = "Give at least two backup_recipients on both hosts, as docs/backup.md says."
)

// BackupTrouble is what is wrong with the backups of the pair, as far as the host of b knows, and what to do; empty: nothing.
func BackupTrouble(b replication.Backups, now time.Time) (what, do string) {
	newest := b.Newest
	if b.Other.After(newest) {
		newest = b.Other
	}
	switch {
	case b.Recipients == 0 && b.Trouble == "" && !b.Other.IsZero() && now.Before(b.Late):
		return fmt.Sprintf(someRecipients, "this host"), giveRecipients
	case b.Recipients == 0 && b.Trouble == "":
		return noRecipients, giveRecipients
	case newest.IsZero():
		what = "there is no verified backup"
	case now.After(b.Late):
		what = fmt.Sprintf("the newest verified backup was begun %s ago, at %s", now.Sub(newest).Truncate(time.Minute), newest.UTC().Format("2006-01-02 15:04:05 UTC"))
	case b.Trouble != "":
		return b.Trouble, "Put it right: no backup is made before that."
	default:
		return targetTrouble(b, now)
	}
	do = "ktadmin backup schedule says who makes them, and when; ktadmin backup create makes one now."
	switch {
	case b.Failure != "" && b.Tried.After(newest):
		what += fmt.Sprintf("; the attempt at %s failed: %s", b.Tried.UTC().Format("15:04:05 UTC"), b.Failure)
		if b.Remedy != "" {
			do = b.Remedy
		}
	case b.Trouble != "":
		what += "; " + b.Trouble
	case b.Schedule == "off":
		what += "; backup_schedule is off"
	}
	return what, do
}

// targetTrouble is which targets lack what they should have, when the backups are in order otherwise. What the other host has sent counts where it
// has sent it: of a target that this host alone has it knows nothing.
func targetTrouble(b replication.Backups, now time.Time) (what, do string) {
	if b.TargetTrouble != "" {
		return b.TargetTrouble, "Put it right, on both hosts: no copy of a backup leaves the host before that."
	}
	var lack []string
	for _, t := range sentByBoth(b.Targets, b.OtherTargets) {
		switch {
		case t.Newest.IsZero():
			lack = append(lack, t.Target+" has confirmed no backup")
		case now.After(t.Late):
			lack = append(lack, fmt.Sprintf("the newest backup that %s has confirmed was begun %s ago, at %s", t.Target, now.Sub(t.Newest).Truncate(time.Minute), t.Newest.UTC().Format("2006-01-02 15:04:05 UTC")))
		}
	}
	if len(lack) == 0 {
		return "", ""
	}
	return strings.Join(lack, "; "), "ktadmin backup ship, on the host that makes the backups, sends what is lacking, or says why it can not."
}

// BackupExpiring is what will be wrong with the backups within some days, as far as the host of b knows, and what to do; empty: nothing.
func BackupExpiring(b replication.Backups, now time.Time, within int) (what, do string) {
	left := days(b.Expires, now)
	if b.Expires.IsZero() || left >= float64(within) {
		return "", ""
	}
	return fmt.Sprintf("%s of backup_recipients expires in %.0f days, at %s, and from then on no backup is made", b.Expiring, max(0, left), b.Expires.UTC().Format("2006-01-02 15:04:05 UTC")),
		"Have its owner let it live longer, and put the key, exported again, into the file of backup_openpgp_keys on both hosts."
}

// backupProblem is what is wrong with the backups of the pair, by the words of all hosts that give one, and what to do.
func backupProblem(c Cluster) (what string) {
	var pair *replication.Backups
	var without []string // the hosts without recipients
	for _, n := range c.Nodes {
		b := n.Backups
		if b == nil {
			continue
		}
		if b.Recipients == 0 && b.Trouble == "" {
			without = append(without, n.Name)
		}
		if pair == nil {
			sum := *b
			if sum.Other.After(sum.Newest) {
				sum.Newest = sum.Other
			}
			sum.Other = time.Time{} // of a pair there is no other host
			pair = &sum
			continue
		}
		for _, t := range []time.Time{b.Newest, b.Other} {
			if t.After(pair.Newest) {
				pair.Newest = t
			}
		}
		if b.Late.After(pair.Late) {
			pair.Late = b.Late
		}
		pair.Recipients = max(pair.Recipients, b.Recipients)
		if !b.Expires.IsZero() && (pair.Expires.IsZero() || b.Expires.Before(pair.Expires)) {
			pair.Expires, pair.Expiring = b.Expires, b.Expiring
		}
		if b.Failure != "" && (pair.Failure == "" || b.Tried.After(pair.Tried)) {
			pair.Tried, pair.Failure = b.Tried, n.Name+": "+b.Failure
		}
		if pair.Trouble == "" && b.Trouble != "" {
			pair.Trouble = n.Name + ": " + b.Trouble
		}
		if pair.TargetTrouble == "" && b.TargetTrouble != "" {
			pair.TargetTrouble = n.Name + ": " + b.TargetTrouble
		}
		for _, t := range b.OtherTargets { // by the word of a host that gives none itself, perhaps
			if !slices.ContainsFunc(pair.OtherTargets, func(o replication.BackupTarget) bool { return o == t }) {
				pair.OtherTargets = append(pair.OtherTargets, t)
			}
		}
		pair.Targets = bothSent(pair.Targets, b.Targets)
	}
	if pair == nil {
		return ""
	}
	what, do := BackupTrouble(*pair, c.Updated)
	if what == "" && len(without) > 0 {
		what, do = fmt.Sprintf(someRecipients, strings.Join(without, ", ")), giveRecipients
	}
	if what == "" {
		what, do = BackupExpiring(*pair, c.Updated, fewDays)
	}
	if what == "" {
		return ""
	}
	return what + ". " + strings.TrimSuffix(do, ".")
}

// sentByBoth is what each of the targets has, of what their host or the other one has sent.
func sentByBoth(targets, others []replication.BackupTarget) []replication.BackupTarget {
	return bothSent(targets, others)[:len(targets)]
}

// bothSent is what each target has by the words of two hosts: those of the first, and then those that the other one alone has.
func bothSent(one, other []replication.BackupTarget) []replication.BackupTarget {
	all := slices.Clone(one)
	for _, t := range other {
		at := slices.IndexFunc(all, func(a replication.BackupTarget) bool { return a.Target == t.Target })
		switch {
		case at < 0:
			all = append(all, t)
		case t.Newest.After(all[at].Newest):
			all[at] = t
		}
	}
	return all
}
