package main

import (
	"context"
	"time"

	"keytrustee/host"
	"keytrustee/internal/release"
	"keytrustee/kms/audit"
	"keytrustee/kms/pgstore"
	"keytrustee/replication"
)

// about is what this host says of itself beside its Monitor.
type about struct {
	pair
	self    *host.Host
	backups *backups
	syslog  *audit.Syslog // nil: no receiver
}

// Report is the Monitor's, completed.
func (a about) Report() replication.Report {
	r := a.pair.Report()
	b := &replication.Beside{Release: release.Version, AuditLost: a.recorder.Lost() + a.NoticesLost()}
	r.Beside = b
	if _, err := a.recorder.Trouble(); err != nil {
		b.AuditTrouble = err.Error()
	}
	if a.syslog != nil {
		b.Syslog, b.SyslogLost = replication.SyslogConnected, a.syslog.Lost()
		if _, err := a.syslog.Trouble(); err != nil {
			b.Syslog = err.Error()
		}
	}
	b.Backups = a.backups.Known()
	s, err := a.self.Status()
	if err != nil {
		return r // what can not be read is not said
	}
	certificates(b, s.Certificates)
	b.Recovery = s.Recovery.String()
	return r
}

// seen is about, for those who look at the pair: they may wait for a count.
type seen struct {
	about
	store *pgstore.Store
}

// countLimit is how long the count of what is not confirmed may take.
const countLimit = 500 * time.Millisecond

func (s seen) Report() replication.Report {
	r := s.about.Report()
	if r.Duty != replication.Active || !r.Local.Answers {
		return r
	}
	ctx, cancel := context.WithTimeout(context.Background(), countLimit)
	defer cancel()
	if n, err := s.store.Unconfirmed(ctx); err == nil {
		r.Beside.Unconfirmed = &n
	}
	return r
}

// certificates has b say from when to when each of the host's certificates is good, and whose it is.
func certificates(b *replication.Beside, all []host.Certificate) {
	b.Certificates, b.Begins = map[string]time.Time{}, map[string]time.Time{}
	for _, c := range all {
		b.Certificates[c.Name()], b.Begins[c.Name()] = c.Expires, c.Begins
		if c.Foreign {
			b.Foreign = append(b.Foreign, c.Name())
		}
	}
}
