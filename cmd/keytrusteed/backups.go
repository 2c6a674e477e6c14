package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"keytrustee/backup"
	"keytrustee/cmd/internal/thishost"
	"keytrustee/internal/config"
	"keytrustee/kms/audit"
	"keytrustee/replication"
)

// backups has the backups of this host made when they are due, one at a time, each by a process of its own. No request, no gate and no
// end of this daemon waits for it, however long its disk takes.
type backups struct {
	confdir string
	report  func() replication.Report // the Monitor's
	make    func(context.Context) error
	note    func(audit.Notice) error
	now     func() time.Time
	log     *slog.Logger

	up      time.Time // when this daemon started
	trouble string    // what the log last said is wrong
	noted   backupNotes
	beside  time.Time // since when the other host makes one; zero: it makes none

	mu      sync.Mutex // guards what follows, for moments
	known   *replication.Backups
	running bool      // this daemon has one made
	another bool      // somebody else does, on this host
	tried   time.Time // when the last one was begun by this daemon
	ended   time.Time // when that ended, without a backup
	failed  error     // and why
}

// How often it is looked whether a backup is due, and how long one that is broken off may take to remove what it has left.
const (
	backupTick     = 15 * time.Second
	backupPatience = 2 * time.Second
)

// Run looks and begins backups until ctx ends. One that is under way then is broken off, and waited for only so long.
func (b *backups) Run(ctx context.Context) {
	b.up = b.now()
	ended, stopped := make(chan error, 1), make(chan struct{})
	timer := &backup.Timer{Now: b.now, Plan: b.plan, Begin: func(now time.Time) {
		b.mu.Lock()
		b.running, b.tried, b.failed = true, now.UTC().Truncate(time.Second), nil
		b.mu.Unlock()
		go func() { ended <- b.make(ctx) }()
	}}
	go func() { // a directory on a server that is gone may keep it for ever
		defer close(stopped)
		tick := time.NewTicker(backupTick)
		defer tick.Stop()
		for {
			b.turn(timer)
			select {
			case <-ctx.Done():
				return
			case err := <-ended:
				if c, cerr := config.Load(b.confdir); cerr == nil && err != nil && b.lockHeld(c) {
					err = nil // it has found another one at it, which tells of itself when it has ended
				}
				b.mu.Lock()
				b.running, b.ended, b.failed = false, b.now().UTC(), err
				b.mu.Unlock()
			case <-tick.C:
			}
		}
	}()
	<-ctx.Done()
	select {
	case <-stopped:
	case <-time.After(backupPatience):
		return
	}
	if b.runs() {
		select {
		case <-ended:
		case <-time.After(backupPatience):
		}
	}
}

func (b *backups) turn(timer *backup.Timer) {
	if err := timer.Turn(); err != nil {
		b.say(err.Error())
		return
	}
	k := b.Known()
	b.say(k.Trouble)
	for _, n := range b.noted.of(*k, b.certain(b.now()), b.now()) {
		if err := b.note(n); err != nil {
			b.log.Error("a notice of a backup is missing in the audit log", "error", err)
		}
	}
}

// say logs what is wrong, once.
func (b *backups) say(trouble string) {
	if trouble != b.trouble && trouble != "" {
		b.log.Error("backups are in trouble", "error", trouble)
	}
	b.trouble = trouble
}

// certain: what the other host has is known, or it was waited for.
func (b *backups) certain(now time.Time) bool {
	r := b.report()
	return r.PeerName == "" || r.PeerAge != replication.Never || now.Sub(b.up) >= takeover
}

// plan looks anew: the settings hold from the next look on, without a restart.
func (b *backups) plan(now time.Time) (backup.Plan, error) {
	c, err := config.Load(b.confdir)
	if err != nil {
		return backup.Plan{}, err
	}
	k, schedule := thishost.Backups(c, now)
	r := b.report()
	k.Other = told(r.Peer.Backups.Newest, now)
	newest := later(k.Newest, k.Other)
	k.Late = thishost.Late(schedule, newest)
	for _, t := range r.Peer.Backups.Targets {
		t.Newest = told(t.Newest, now)
		t.Late = thishost.ShippedLate(schedule, t.Newest)
		k.OtherTargets = append(k.OtherTargets, t)
	}
	late := k.Late
	if newest.IsZero() { // as if one had been made when this daemon started
		late = thishost.Late(schedule, b.up)
	}
	k.Mine, k.Part = backupPart(r, b.up, late, now)
	beside, another := b.otherMakes(r, schedule, now), b.anotherMakes(c)

	b.mu.Lock()
	defer b.mu.Unlock()
	if begun, ended := !k.Tried.Before(b.tried), k.Tried.IsZero() || !k.Ended.IsZero(); b.failed != nil && begun != ended { // it came to no attempt, or was killed
		k.Tried, k.Ended, k.Failure, k.Remedy = b.tried, b.ended, b.failed.Error(), hint(b.failed)
	}
	b.another = another
	k.Running = b.running || b.another
	p := backup.Plan{Schedule: schedule, Newest: newest, Tried: b.tried, Mine: k.Mine && k.Recipients > 0 && b.certain(now),
		Running: k.Running || beside}
	if !k.Tried.After(now) { // one that was begun by hand counts too
		p.Tried = later(k.Tried, b.tried)
	}
	if k.Recipients > 0 {
		k.Due = p.Due(now)
	}
	b.known = &k
	return p, nil
}

// otherMakes reports whether the other host makes one now. What it has been making for so long that a backup of that age would be late
// hangs, and is waited for no longer.
func (b *backups) otherMakes(r replication.Report, s backup.Schedule, now time.Time) bool {
	if !r.PeerAnswers || !r.Peer.Backups.Running {
		b.beside = time.Time{}
		return false
	}
	if b.beside.IsZero() || b.beside.After(now) {
		b.beside = now
	}
	return !now.After(thishost.Late(s, b.beside))
}

// anotherMakes reports whether somebody makes one on this host whom this daemon did not begin: by hand, or by a timer.
func (b *backups) anotherMakes(c *config.Config) bool {
	return !b.runs() && b.lockHeld(c)
}

// runs reports whether this daemon has one made.
func (b *backups) runs() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.running
}

func (b *backups) lockHeld(c *config.Config) bool {
	held, err := backup.Making(thishost.From(c).BackupLock())
	if err != nil {
		b.log.Warn("whether a backup is being made can not be seen", "error", err)
	}
	return held
}

// Known is how it stands; nil, before it was looked once.
func (b *backups) Known() *replication.Backups {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.known == nil {
		return nil
	}
	k := *b.known
	k.Running = b.running || b.another
	return &k
}

// Word is what the other host is told.
func (b *backups) Word() (w replication.BackupWord) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.known != nil {
		w.Newest, w.Targets = b.known.Newest, b.known.Targets
	}
	w.Running = b.running || b.another
	return w
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// told is what the other host says of a time: the clocks of two hosts are never quite the same, but what lies further ahead is by a clock
// that is wrong, and says nothing of today.
func told(t, now time.Time) time.Time {
	switch {
	case t.After(now.Add(time.Minute)):
		return time.Time{}
	case t.After(now):
		return now
	}
	return t
}
