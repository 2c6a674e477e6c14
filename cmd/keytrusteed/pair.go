package main

import (
	"keytrustee/kms/audit"
	"keytrustee/replication"
)

// pair is the Monitor as status and health see it: an audit log that can not be written refuses every write too, which the
// gate does not know.
type pair struct {
	*replication.Monitor
	recorder *audit.Recorder
}

func (p pair) Report() replication.Report {
	r := p.Monitor.Report()
	if since, err := p.recorder.Trouble(); err != nil {
		r.Shut(replication.AuditUnavailable, err.Error(), since)
	}
	return r
}
