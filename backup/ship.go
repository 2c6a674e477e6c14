package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"keytrustee/internal/seam"
)

// ShipOptions are what Ship needs.
type ShipOptions struct {
	Directory string // of the backups
	LockFile  string // on this host, so that one process at a time sends; its directory exists
	Targets   []Target
	SSH       SSH
	Patience  time.Duration // a target on which nothing moves for so long is given up; zero: a minute
	Enough    time.Duration // after so long no further backup is begun with; zero: all are sent, however long that takes
	Only      string        // a backup, instead of all that List lists
	Wait      bool          // where another process is sending, wait for its end
	Stage     func(string)  // is told what is done now; nil: nobody is. It may be called by several at once
	Progress  Progress      // nil: nobody hears
	// Retention says how many backups of this host stay at a target that has all of these. A target gets none that it would not
	// keep. Host, Cluster and the fingerprint of its root key tell which backups are of this host as it is; no Host: none is removed.
	Retention              Retention
	Host, Cluster, RootKey string

	point func(target, point string) error // in tests, is told each point that a crash may follow
	now   func() time.Time                 // in tests, another time than the present
}

// Delivery is what came of one target.
type Delivery struct {
	Target  string   `json:"target"`
	Sent    []string `json:"sent"`       // in their order
	Bytes   int64    `json:"bytes_sent"` // less than their sizes, where an earlier run had begun
	Removed []string `json:"removed"`    // not kept there any longer
	Missing []string `json:"missing"`    // what it is to have and has not confirmed, the newest first
	Problem string   `json:"problem,omitempty"`
	Remedy  string   `json:"remedy,omitempty"`
}

// Ship sends each target the backups that it lacks, the newest first: that one has every key, the older ones are for the day on
// which the newest is not wanted. All targets are written to at once, and none waits for another. When it returns nil, each has
// given back every byte of every backup that List lists, and lists it too. Otherwise the error is a *ShipError, what a target
// lists is whole all the same, and the next Ship goes on; or a *postgres.SetupError, where another process is sending. What
// Retention does not keep at a target is neither sent nor asked for, and is removed there once nothing is missing.
func Ship(ctx context.Context, o ShipOptions) ([]Delivery, error) {
	release, err := holdWhenFree(ctx, o.Wait, o.LockFile, "the backups of this host are being sent already", "it sends those too that are made meanwhile; ktadmin backup list shows where each is")
	if err != nil {
		return nil, err
	}
	defer release()
	if o.Patience == 0 {
		o.Patience = time.Minute
	}
	if o.now == nil {
		o.now = time.Now
	}
	o.Progress = heard(o.Progress)
	o.Progress.Begin(sendingTo(o.Targets))
	shipped, err := LoadShipped(o.Directory)
	if err != nil && o.Stage != nil {
		o.Stage("asking the targets again for what they have: " + err.Error())
	}
	s := &shipping{o, &record{dir: o.Directory, shipped: shipped}}
	deliveries, faults := make([]Delivery, len(o.Targets)), make([]error, len(o.Targets))
	var all sync.WaitGroup
	for i, t := range o.Targets {
		all.Go(func() { deliveries[i], faults[i] = s.deliver(ctx, t) })
	}
	all.Wait()
	failed := new(ShipError)
	for i, err := range faults {
		if err == nil {
			continue
		}
		deliveries[i].Problem, deliveries[i].Remedy = err.Error(), remedyOf(err)
		failed.Faults = append(failed.Faults, err)
	}
	if len(failed.Faults) > 0 {
		return deliveries, failed
	}
	return deliveries, nil
}

// ShipError means that not every target got everything.
type ShipError struct{ Faults []error }

func (e *ShipError) Error() string {
	var lines []string
	for _, err := range e.Faults {
		lines = append(lines, err.Error())
	}
	return "not every target has every backup: " + strings.Join(lines, "\n  ")
}

func (e *ShipError) Unwrap() []error { return e.Faults }

// Hint is what the operator can do, for each fault.
func (e *ShipError) Hint() string {
	if len(e.Faults) == 1 {
		return remedyOf(e.Faults[0])
	}
	var lines []string
	for i, err := range e.Faults {
		lines = append(lines, fmt.Sprintf("%d. %s", i+1, remedyOf(err)))
	}
	return strings.Join(lines, "\n  ")
}

// shipping is one call of Ship.
type shipping struct {
	ShipOptions
	record *record
}

// list is what the targets are to have.
func (s *shipping) list() (Catalog, error) {
	c, err := List(s.Directory)
	if s.Only != "" {
		c.Backups = slices.DeleteFunc(c.Backups, func(b Receipt) bool { return b.Name != s.Only })
	}
	return c, err
}

// deliver sends one target what it lacks.
func (s *shipping) deliver(ctx context.Context, t Target) (Delivery, error) {
	d := &delivery{Delivery: Delivery{Target: t.String(), Sent: []string{}, Removed: []string{}, Missing: []string{}}}
	err := attend(ctx, s.Patience, func(ctx context.Context, moved func()) error {
		p, err := t.open(ctx, s.SSH, s.Directory, moved)
		if err != nil {
			return err
		}
		defer p.close() // of no consequence: what was sent is confirmed, or it is not
		return s.all(ctx, t, p, moved, d)
	})
	catalog, lerr := s.list()
	done, expendable := d.now()
	if expendable == nil {
		expendable = (&thinning{shipping: s}).expendable(catalog.Backups)
	}
	for i := range catalog.Backups {
		if b := catalog.Backups[len(catalog.Backups)-1-i]; !s.record.has(t.String(), b) && !expendable[b.Name] {
			done.Missing = append(done.Missing, b.Name)
		}
	}
	return done, errors.Join(t.fault(err), lerr)
}

// delivery is a Delivery that is still written to, maybe by somebody who was given up.
type delivery struct {
	mu sync.Mutex
	Delivery
	expendable map[string]bool // what the target would not keep; nil: it was not asked what it has
}

func (d *delivery) now() (Delivery, map[string]bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.Delivery, d.expendable
}

func (d *delivery) leaveOut(expendable map[string]bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expendable = expendable
}

func (d *delivery) remove(names []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.Removed = append(d.Removed, names...)
}

func (d *delivery) add(s *sending) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.Bytes += s.sent
	if s.given {
		d.Sent = append(d.Sent[:len(d.Sent):len(d.Sent)], s.backup.Name)
	}
}

// all sends backups until none is missing, those included that are made meanwhile. What concerns one backup alone keeps no
// other from being sent.
func (s *shipping) all(ctx context.Context, t Target, p place, moved func(), d *delivery) error {
	root, err := os.OpenRoot(s.Directory)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return unreadable(s.Directory, err)
	}
	defer root.Close()
	files, err := p.files()
	if err != nil {
		return fmt.Errorf("looking what is there: %w", err)
	}
	n := &thinning{place: p, shipping: s}
	if err := n.look(files); err != nil {
		return err
	}
	s.expect(t, n)
	seen, begun := map[string]bool{}, time.Now()
	var faults []error
	for {
		next, err := s.next(n, seen, d)
		if err != nil {
			return errors.Join(append(faults, t.fault(err))...)
		} else if next == nil && len(faults) > 0 {
			return errors.Join(faults...)
		} else if next == nil {
			return s.thin(ctx, t, n, d)
		}
		if s.Enough > 0 && len(seen) > 0 && time.Since(begun) > s.Enough && !s.record.has(t.String(), *next) {
			return errors.Join(append(faults, &TargetError{t.String(), fmt.Errorf("no more was begun after %v", s.Enough), "the next backup goes on with the rest, and ktadmin backup ship at once"})...)
		}
		seen[next.Name] = true
		files, err := p.files()
		if err != nil {
			return errors.Join(append(faults, t.fault(fmt.Errorf("looking what is there: %w", err)))...)
		}
		err = s.one(ctx, t, &sending{place: p, ctx: ctx, moved: moved, local: root, backup: *next, progress: s.Progress}, files, d)
		damage, other := (*DamageError)(nil), (*otherError)(nil)
		switch {
		case errors.As(err, &damage), errors.As(err, &other):
			faults = append(faults, t.fault(err))
		case err != nil:
			return errors.Join(append(faults, t.fault(err))...)
		}
	}
}

// sendingTo names a whole Ship.
func sendingTo(targets []Target) string {
	if len(targets) == 1 {
		return "sending, and reading back, what " + targets[0].String() + " lacks"
	}
	return fmt.Sprintf("sending, and reading back, what %d targets lack", len(targets))
}

// expect tells Progress how much a target lacks: what is sent is read back.
func (s *shipping) expect(t Target, n *thinning) {
	catalog, err := List(s.Directory)
	if err != nil {
		return // it is asked again at once, and then it is an error
	}
	expendable, lacks := n.expendable(catalog.Backups), int64(0)
	for _, b := range catalog.Backups {
		if !expendable[b.Name] && !s.record.has(t.String(), b) {
			lacks += 2 * b.Size
		}
	}
	s.Progress.Bytes(lacks, true)
}

// next is the newest backup that was not looked at yet and would be kept there.
func (s *shipping) next(n *thinning, seen map[string]bool, d *delivery) (*Receipt, error) {
	catalog, err := s.list()
	if err != nil {
		return nil, err
	}
	expendable := n.expendable(catalog.Backups)
	d.leaveOut(expendable)
	for i := range catalog.Backups {
		if b := &catalog.Backups[len(catalog.Backups)-1-i]; !seen[b.Name] && !expendable[b.Name] {
			return b, nil
		}
	}
	return nil, nil
}

// thin removes what the target does not keep any longer, and notes it.
func (s *shipping) thin(ctx context.Context, t Target, n *thinning, d *delivery) error {
	removed, err := n.thin(ctx, func(point string) error { return s.reached(t.String(), point) })
	d.remove(removed)
	return errors.Join(err, s.record.forget(t.String(), func(name string) bool { return !slices.Contains(removed, name) }))
}

func (s *shipping) reached(target, point string) error {
	seam.Reached("ship: " + point)
	if s.point == nil {
		return nil
	}
	return s.point(target, point)
}

// one makes sure that a target has one backup, and notes it.
func (s *shipping) one(ctx context.Context, t Target, b *sending, files map[string]int64, d *delivery) (err error) {
	target := t.String()
	if err := s.record.forget(target, func(name string) bool { _, there := files[name+fileSuffix]; return there }); err != nil {
		return err
	}
	b.known = s.record.has(target, b.backup)
	b.reached = func(point string) error { return s.reached(target, point) }
	b.begin = func(at int64) {
		if s.Stage == nil {
			return
		}
		what := fmt.Sprintf("sending %s to %s, %.1f MiB", b.backup.Name, target, float64(b.backup.Size-at)/(1<<20))
		if at > 0 {
			what += fmt.Sprintf(" after the %.1f that are there", float64(at)/(1<<20))
		}
		s.Stage(what)
	}
	b.forget = func() error { return s.record.forget(target, func(name string) bool { return name != b.backup.Name }) }
	b.receipt, err = readSmall(b.local, b.told())
	if err == nil {
		err = b.send(files)
	}
	d.add(b)
	if err == nil && !b.known { // as expected, however much of it was there
		s.Progress.Moved(2*b.backup.Size - b.counted)
	}
	if err != nil && b.goneHere() {
		return nil
	} else if err != nil {
		return err
	}
	return s.record.confirm(target, b.backup)
}

// open goes to the target. What is done there ends with ctx.
func (t Target) open(ctx context.Context, s SSH, own string, moved func()) (place, error) {
	if t.remote() {
		return t.dial(ctx, s, moved)
	}
	return openPlace(ctx, t.dir, own, moved)
}
