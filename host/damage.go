package host

import (
	"fmt"

	"keytrustee/replication"
)

// DataTrouble is what is wrong with the data of the host that has said r, as far as its PostgreSQL has met it, and what to do; empty: nothing.
func DataTrouble(r replication.Report) (what, do string) {
	if what = damage(r.Local); what == "" {
		return "", ""
	}
	switch {
	case r.Duty == replication.Passive && r.PeerAnswers:
		do = fmt.Sprintf("Nothing is lost: %s has everything. Clone this host anew: stop keytrusteed and keytrustee-db here, then ktadmin init-slave --reclone.", r.PeerName)
	case r.Duty == replication.Active && r.PeerAnswers:
		do = fmt.Sprintf("Nothing is lost: %s has everything. Let it take over: ktadmin cluster switchover; then clone this host anew: ktadmin init-slave --reclone.", r.PeerName)
	default:
		do = "Keep this disk, and bring the other host back if that can be. ktadmin db check says which keys are left; docs/runbook/data-damaged.md what to do if the other host is lost."
	}
	return what, do
}

// damage says how often a server has met a damaged page; empty: never.
func damage(s replication.Server) string {
	if s.Damaged == 0 {
		return ""
	}
	return fmt.Sprintf("pages of its data are damaged on its disk: its PostgreSQL has met such %d times, last at %s", s.Damaged, stamp(s.DamagedAt))
}
