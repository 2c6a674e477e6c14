package main

import (
	"fmt"
	"time"

	"keytrustee/backup"
	"keytrustee/host"
	"keytrustee/replication"
)

// otherHost is what a backup that is begun now says of the other host of the pair. s is the daemon's word, or of the files alone.
func otherHost(s host.Status, now time.Time) backup.Other {
	if s.State.Peer == nil {
		return backup.Other{State: backup.OtherNone}
	}
	o := backup.Other{Name: s.State.Peer.Name, State: backup.OtherUnknown}
	r := s.Report
	if r == nil {
		return o
	}
	o.Heard = r.PeerHeard.UTC().Truncate(time.Second)
	switch open := r.ActiveGate != nil && r.ActiveGate.Open; {
	case r.Duty == replication.Active && r.Open, r.Duty == replication.Passive && r.PeerAnswers && open && r.Reason == "":
		o.State, o.Heard = backup.OtherConfirmed, now.UTC().Truncate(time.Second)
	case r.PeerAnswers:
		o.State = backup.OtherUnconfirmed
	default:
		o.State = backup.OtherSilent
	}
	if r.PeerHeard.IsZero() && o.State != backup.OtherConfirmed {
		o.Heard = time.Time{}
	}
	return o
}

// otherWords is how it stood, for people.
func otherWords(o backup.Other) string {
	switch o.State {
	case backup.OtherNone:
		return "there was none"
	case backup.OtherConfirmed:
		return o.Name + ", confirmed until " + stamp(o.Heard) + ": what was acknowledged before was on both hosts"
	case backup.OtherUnconfirmed:
		return o.Name + ", heard and not confirmed"
	case backup.OtherSilent:
		return o.Name + ", NOT HEARD since " + heardWords(o)
	}
	return orDash(o.Name) + ", and it is not known whether it was heard: keytrusteed did not run"
}

func heardWords(o backup.Other) string {
	if o.Heard.IsZero() {
		return "keytrusteed was started"
	}
	return stamp(o.Heard)
}

// otherColumn is the same in a table.
func otherColumn(o backup.Other) string {
	switch o.State {
	case backup.OtherNone, "":
		return "-"
	case backup.OtherSilent:
		return "SILENT since " + heardWords(o)
	}
	return string(o.State)
}

// otherWarning is what who restores the backup has to hear first; empty: nothing.
func otherWarning(m backup.Manifest) string {
	const ask = "if that one went on alone, its backups have more: look for one of a later epoch, or of a later time, before you take this one"
	switch o := m.Other; o.State {
	case backup.OtherConfirmed, backup.OtherNone:
		return ""
	case backup.OtherUnconfirmed:
		return fmt.Sprintf("WARNING: %s heard %s when the backup was made, and the two were not confirmed: one of them may lack what the other one had. Look for a backup of %[2]s too", m.Host, o.Name)
	case backup.OtherSilent:
		return fmt.Sprintf("WARNING: %s did not hear %s when the backup was made, since %s; %s", m.Host, o.Name, heardWords(o), ask)
	}
	return fmt.Sprintf("WARNING: it is not known whether %s heard the other host when the backup was made; %s", m.Host, ask)
}
