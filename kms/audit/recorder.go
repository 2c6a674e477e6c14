package audit

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"keytrustee/kms"
)

// Config is what a Recorder needs. Path is required.
type Config struct {
	Path   string
	Window time.Duration    // how long reads are counted together; 0: 10 s, as Hadoop
	Buffer int              // how many lines of reads wait for the disk at most; 0: 8192
	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: slog.Default()
	Syslog *Syslog          // also told of everything; nil: nobody is
}

// maxGroups bounds the reads that are counted together; one more is written alone.
const maxGroups = 8192

// pace is how often reads are written and windows closed.
const pace = 100 * time.Millisecond

// Recorder is kms.Recorder on a file.
type Recorder struct {
	window time.Duration
	buffer int
	now    func() time.Time
	log    *slog.Logger
	syslog *Syslog

	mu     sync.Mutex // guards what follows, never during I/O
	next   *batch     // lines that nobody writes yet
	groups map[group]*count
	lost   int       // lines of reads that never reached the file, since tellLost told of them
	missed uint64    // and those it has told of, and notices
	since  time.Time // when the file began to fail
	err    error     // the last write's

	writing sync.Mutex // held during I/O, and guards file and a batch's outcome; taken before mu
	file    file
}

// batch is what one write, and one sync, takes to the disk.
type batch struct {
	lines   []byte
	reads   int  // lines of reads among them
	durable bool // the event of a Record is among them
	written bool
	err     error
}

// group is reads that are counted together.
type group struct {
	user string
	key  kms.KeyName
	op   kms.AuditOp
}

type count struct {
	first    kms.Event
	accesses int
}

// New returns a Recorder. It opens the file, so that a log that can not be written is known at once.
func New(c Config) (*Recorder, error) {
	r := &Recorder{window: c.Window, buffer: c.Buffer, now: c.Now, log: c.Logger, syslog: c.Syslog, next: &batch{}, groups: make(map[group]*count),
		file: file{path: c.Path, sync: (*os.File).Sync}}
	if r.window == 0 {
		r.window = 10 * time.Second
	}
	if r.buffer == 0 {
		r.buffer = 8192
	}
	if r.now == nil {
		r.now = time.Now
	}
	if r.log == nil {
		r.log = slog.Default()
	}
	if err := r.file.open(); err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	return r, nil
}

// Record writes the event and returns when it is on the disk. Whoever calls while another call syncs shares the next sync.
// A refusal closes the group of reads that it belongs to, so that the reads before it stand before it.
func (r *Recorder) Record(e kms.Event) error {
	e = bounded(e)
	r.mu.Lock()
	if e.Result == kms.AuditUnauthorized {
		r.endGroup(group{e.Principal.Full, e.Key, e.Op}, e.At)
	}
	text := line(e)
	r.send(ofEvent(e, text))
	mine := r.durably(text)
	r.mu.Unlock()
	return r.settle(mine)
}

// send hands m to syslog, which never waits. mu is held, so that it gets the messages in the order of the lines.
func (r *Recorder) send(m message) {
	if r.syslog != nil {
		r.syslog.send(m)
	}
}

// durably puts a line into the next batch. mu is held. The batch is on the disk when settle returns nil.
func (r *Recorder) durably(line string) *batch {
	r.next.lines = append(r.next.lines, line...)
	r.next.durable = true
	return r.next
}

// settle writes the batch unless somebody else has.
func (r *Recorder) settle(mine *batch) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	if !mine.written {
		r.writeLocked(false)
	}
	return mine.err
}

// Access notes a read. The first of a user, key and operation is written soon, and again with the number of all when its
// window ends. It never waits for the disk; what does not fit the buffer is lost and counted.
func (r *Recorder) Access(e kms.Event) {
	e = bounded(e)
	r.mu.Lock()
	defer r.mu.Unlock()
	g := group{e.Principal.Full, e.Key, e.Op}
	if e.Result != kms.AuditOK || !aggregated[e.Op] {
		r.note(e, line(e))
		return
	}
	if c := r.groups[g]; c != nil {
		if e.At.Sub(c.first.At) < r.window {
			c.accesses++
			return
		}
		r.endGroup(g, e.At)
	}
	c := &count{first: e, accesses: 1}
	if len(r.groups) < maxGroups {
		r.groups[g] = c
	}
	r.note(e, c.line(e.At))
}

// aggregated are the operations that Hadoop counts together.
var aggregated = map[kms.AuditOp]bool{
	kms.AuditGetKeyVersion: true, kms.AuditGetCurrentKey: true, kms.AuditGenerateEEK: true, kms.AuditDecryptEEK: true,
	kms.AuditReencryptEEK: true,
}

func (c *count) line(at time.Time) string {
	e := c.first
	e.At = at
	return lineWith(e, fmt.Sprintf(", accessCount=%d, interval=%dms", c.accesses, at.Sub(c.first.At).Milliseconds()))
}

// endGroup writes how many reads a group came to. mu is held.
func (r *Recorder) endGroup(g group, at time.Time) {
	if c := r.groups[g]; c != nil {
		delete(r.groups, g)
		e := c.first
		e.At = at
		r.note(e, c.line(at))
	}
}

// note puts the line of a read into the next batch, if there is room. mu is held.
func (r *Recorder) note(e kms.Event, line string) {
	r.send(ofEvent(e, line))
	if r.next.reads >= r.buffer {
		r.lost++
		return
	}
	r.next.reads++
	r.next.lines = append(r.next.lines, line...)
}

// tellLost logs how many lines of reads were lost since it was called last, if any were.
func (r *Recorder) tellLost() {
	r.mu.Lock()
	lost := r.lost
	r.lost = 0
	r.missed += uint64(lost)
	r.mu.Unlock()
	if lost > 0 {
		r.log.Warn("reads are missing in the audit log", "lines", lost)
	}
}

// Run writes the reads until ctx ends, and logs once a window how many were lost. It returns nil then, with everything
// noted so far on the disk; or the error of that last write.
func (r *Recorder) Run(ctx context.Context) error {
	tick, tell := time.NewTicker(pace), time.NewTicker(r.window)
	defer tick.Stop()
	defer tell.Stop()
	defer r.tellLost()
	for {
		select {
		case <-ctx.Done():
			return r.flush(0, true)
		case <-tick.C:
			r.flush(r.window, false) // an error is counted as a loss; Record reports it to whom it hinders
		case <-tell.C:
			r.tellLost()
		}
	}
}

// Close writes what is noted and closes the file.
func (r *Recorder) Close() error {
	err := r.flush(0, true)
	r.writing.Lock()
	defer r.writing.Unlock()
	if cerr := r.file.close(); err == nil {
		err = cerr
	}
	return err
}

// flush ends the groups that are older than age and writes the next batch.
func (r *Recorder) flush(age time.Duration, always bool) error {
	now := r.now()
	r.mu.Lock()
	var ended []group
	for g, c := range r.groups {
		if now.Sub(c.first.At) >= age {
			ended = append(ended, g)
		}
	}
	slices.SortFunc(ended, func(a, b group) int { return r.groups[a].first.At.Compare(r.groups[b].first.At) })
	for _, g := range ended {
		r.endGroup(g, now)
	}
	r.mu.Unlock()
	r.writing.Lock()
	defer r.writing.Unlock()
	return r.writeLocked(always)
}

// writeLocked takes the next batch to the file, and syncs it if a Record waits for it or always is set. writing is held.
func (r *Recorder) writeLocked(always bool) error {
	r.mu.Lock()
	b := r.next
	r.next = &batch{}
	r.mu.Unlock()
	b.written = true
	if len(b.lines) == 0 {
		return nil
	}
	b.err = r.file.append(b.lines, always || b.durable)
	r.mu.Lock()
	defer r.mu.Unlock()
	if b.err != nil && r.err == nil {
		r.since = r.now()
	}
	if r.err = b.err; r.err != nil {
		r.lost += b.reads
	}
	return b.err
}

// Lost is how many lines of reads, and notices, never reached the file since New.
func (r *Recorder) Lost() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.missed + uint64(r.lost)
}

// Trouble returns why the last write of the file failed and since when they do; nil if it went well. While there is trouble
// Record refuses, and only another write finds out that it is over.
func (r *Recorder) Trouble() (since time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.since, r.err
}
