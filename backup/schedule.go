package backup

import (
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Schedule says when backups are begun. The zero value never does.
type Schedule struct {
	text  string
	times cron.Schedule
}

// Off is the text of a Schedule that never begins one.
const Off = "off"

// ScheduleError says what is wrong with the text of a Schedule. Its remedy is one that is right.
type ScheduleError struct{ Problem, Remedy string }

func (e *ScheduleError) Error() string { return e.Problem + "; " + e.Remedy }

// ParseSchedule reads the five fields of a cron expression: minute, hour, day of the month, month, day of the week; off, or nothing,
// is no schedule. The times are those of UTC, which has no hour twice and lacks none. Every other error is a *ScheduleError.
func ParseSchedule(text string) (Schedule, error) {
	text = strings.Join(strings.Fields(text), " ")
	if text == "" || text == Off {
		return Schedule{}, nil
	}
	wrong := func(problem string) (Schedule, error) {
		return Schedule{}, &ScheduleError{problem, `give minute, hour, day of the month, month and day of the week, in UTC, such as "0 * * * *" for every hour; or off`}
	}
	if strings.Contains(text, "=") { // a zone
		return wrong(fmt.Sprintf("%q names something that is not a time: the zone is always UTC", text))
	}
	times, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse(text)
	if err != nil {
		return wrong(fmt.Sprintf("%q is no cron expression: %v", text, err))
	}
	if times.Next(time.Now().UTC()).IsZero() {
		return wrong(fmt.Sprintf("%q never comes: no such day is in the next five years", text))
	}
	return Schedule{text, times}, nil
}

// String is the expression, or off.
func (s Schedule) String() string {
	if s.times == nil {
		return Off
	}
	return s.text
}

// Next is the first time after t; zero, if there is none.
func (s Schedule) Next(t time.Time) time.Time {
	if s.times == nil {
		return time.Time{}
	}
	return s.times.Next(t.UTC())
}

// again is how long after an attempt that failed the next one is made.
const again = 10 * time.Minute

// Plan is what decides when this host begins a backup.
type Plan struct {
	Schedule Schedule
	Newest   time.Time // when the pair's newest verified backup was begun, as far as this host knows; zero: there is none
	Tried    time.Time // when this host last tried; zero: never
	Mine     bool      // it is this host that makes the next one
	Running  bool      // one is being made
}

// Due is when a backup of the pair is wanted, whoever makes it: at the first time of the Schedule after the newest one, so times that
// were missed are caught up once; some time after an attempt of this host that did not lead to one. Zero means never.
func (p Plan) Due(now time.Time) time.Time {
	if p.Schedule.times == nil {
		return time.Time{}
	}
	due := now // without any, there is nothing to wait for
	if !p.Newest.IsZero() {
		due = p.Schedule.Next(p.Newest)
	}
	failed := p.Tried.After(p.Newest) && !p.Tried.After(now)
	if retry := p.Tried.Add(again); failed && retry.After(due) {
		return retry
	}
	return due
}

// Timer begins backups when they are due.
type Timer struct {
	Now  func() time.Time
	Plan func(now time.Time) (Plan, error)
	// Begin begins one, and does not have to wait for its end: Plan says Running meanwhile.
	Begin func(now time.Time)
}

// Turn begins a backup, if this host's is due. Whoever calls it does so often: a time is late by what lies between two calls. An error is
// Plan's.
func (t *Timer) Turn() error {
	now := t.Now()
	p, err := t.Plan(now)
	if err != nil {
		return err
	}
	if due := p.Due(now); p.Mine && !p.Running && !due.IsZero() && !due.After(now) {
		t.Begin(now)
	}
	return nil
}

// Newest returns the newest of the backups that was not begun after now: one that was, by a clock that was wrong, says nothing of
// today. false: there is none.
func Newest(backups []Receipt, now time.Time) (newest Receipt, found bool) {
	for _, b := range backups {
		if started := b.Manifest.Started; !started.After(now) && (!found || started.After(newest.Manifest.Started)) {
			newest, found = b, true
		}
	}
	return newest, found
}
