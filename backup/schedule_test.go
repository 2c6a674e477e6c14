package backup

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keytrustee/postgres"
)

func schedule(t testing.TB, text string) Schedule {
	t.Helper()
	s, err := ParseSchedule(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestParseSchedule(t *testing.T) {
	for text, want := range map[string]string{"": Off, " off ": Off, "0 * * * *": "0 * * * *", "  */15\t0-5 1,15 JAN mon ": "*/15 0-5 1,15 JAN mon"} {
		if got := schedule(t, text).String(); got != want {
			t.Errorf("%q is read as %q", text, got)
		}
	}
	for text, problem := range map[string]string{
		"hourly": "is no cron expression", "@hourly": "is no cron expression", "@every 1h": "is no cron expression", "0 * * *": "is no cron expression", "0 0 * * * *": "is no cron expression",
		"60 * * * *": "is no cron expression", "* 24 * * *": "is no cron expression", "-1 * * * *": "is no cron expression", "false": "is no cron expression",
		"TZ=Europe/Berlin 0 * * * *": "the zone is always UTC", "CRON_TZ=": "the zone is always UTC", "0 0 31 2 *": "never comes",
	} {
		_, err := ParseSchedule(text)
		if wrong, ok := errors.AsType[*ScheduleError](err); !ok || !strings.Contains(wrong.Problem, problem) || !strings.Contains(wrong.Remedy, "in UTC") {
			t.Errorf("%q: %v, want %q", text, err, problem)
		}
	}
}

// FuzzParseSchedule: whatever it is given, it is an error or has times.
func FuzzParseSchedule(f *testing.F) {
	for _, text := range []string{"0 * * * *", "TZ=0", "*/0 * * * *", "1-0 * * * *", "@", "0 0 29 2 *", "99999999999999999999 * * * *"} {
		f.Add(text)
	}
	now := time.Date(2026, 11, 29, 15, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSchedule(text)
		if err != nil || s.String() == Off {
			return
		}
		if next := s.Next(now); !next.After(now) {
			t.Errorf("%q comes after %v at %v", text, now, next)
		}
		if again := schedule(t, s.String()); !again.Next(now).Equal(s.Next(now)) {
			t.Errorf("%q is read as %q", text, s)
		}
	})
}

func TestDue(t *testing.T) {
	now := time.Date(2026, 11, 29, 15, 20, 0, 0, time.UTC)
	at := func(hour, minute int) time.Time { return time.Date(2026, 11, 29, hour, minute, 0, 0, time.UTC) }
	hourly := schedule(t, "0 * * * *")
	for _, row := range []struct {
		name string
		plan Plan
		want time.Time
	}{
		{"off", Plan{Newest: at(3, 0)}, time.Time{}},
		{"there is none", Plan{Schedule: hourly}, now},
		{"made in time", Plan{Schedule: hourly, Newest: at(15, 0), Tried: at(15, 0)}, at(16, 0)},
		{"made by hand in between", Plan{Schedule: hourly, Newest: at(15, 19)}, at(16, 0)},
		{"missed, once", Plan{Schedule: hourly, Newest: at(11, 0)}, at(12, 0)},
		{"failed", Plan{Schedule: hourly, Newest: at(14, 0), Tried: at(15, 15)}, at(15, 25)},
		{"failed, and the first one is not there either", Plan{Schedule: hourly, Tried: at(15, 15)}, at(15, 25)},
		{"failed, long ago", Plan{Schedule: hourly, Newest: at(14, 0), Tried: at(14, 55)}, at(15, 5)},
		{"failed by hand, before its time", Plan{Schedule: hourly, Newest: at(15, 0), Tried: at(15, 10)}, at(16, 0)},
		{"tried by a clock that was wrong", Plan{Schedule: hourly, Newest: at(14, 0), Tried: at(22, 0)}, at(15, 0)},
	} {
		if got := row.plan.Due(now); !got.Equal(row.want) {
			t.Errorf("%s: due at %v, want %v", row.name, got, row.want)
		}
	}
}

// pretend is a host whose daemon turns a Timer once in a quarter of a minute.
type pretend struct {
	now     time.Time
	plan    Plan
	fails   bool
	backups []Receipt
	tries   []time.Time
}

func (p *pretend) timer() *Timer {
	return &Timer{
		Now: func() time.Time { return p.now },
		Plan: func(now time.Time) (Plan, error) {
			newest, _ := Newest(p.backups, now)
			p.plan.Newest = newest.Manifest.Started
			return p.plan, nil
		},
		Begin: func(now time.Time) {
			p.tries, p.plan.Tried = append(p.tries, now), now
			if p.fails {
				return
			}
			p.backups, _ = Retention{Hourly: 10, Daily: 7, Weekly: 4}.Keep(append(p.backups, begun(now)), now)
		},
	}
}

// runs lets the daemon run so long.
func (p *pretend) runs(t *testing.T, d time.Duration) {
	t.Helper()
	timer := p.timer()
	for end := p.now.Add(d); p.now.Before(end); p.now = p.now.Add(15 * time.Second) {
		if err := timer.Turn(); err != nil {
			t.Fatal(err)
		}
	}
}

// inBerlin has the local time of Berlin, for as long as the test runs.
func inBerlin(t *testing.T) *time.Location {
	t.Helper()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	was := time.Local
	time.Local = berlin
	t.Cleanup(func() { time.Local = was })
	return berlin
}

// TestThirtyHours is the acceptance: across a change of the clocks, with a daemon that is stopped for three hours, no hour but those is
// without a backup, what was missed is caught up once, and ten hourly backups are kept.
func TestThirtyHours(t *testing.T) {
	inBerlin(t)
	for name, change := range map[string]time.Time{"forward": time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC), "back": time.Date(2026, 10, 25, 1, 0, 0, 0, time.UTC)} {
		t.Run(name, func(t *testing.T) {
			begin := change.Add(-9*time.Hour - 30*time.Minute)
			p := &pretend{now: begin.Local(), plan: Plan{Schedule: schedule(t, "0 * * * *"), Mine: true}, backups: []Receipt{begun(begin.Add(-30 * time.Minute))}}
			_, before := begin.Local().Zone()
			p.runs(t, 20*time.Hour+15*time.Minute)
			if _, after := p.now.Zone(); before == after {
				t.Fatal("the clocks did not change")
			}
			stopped := p.now
			p.now = p.now.Add(3 * time.Hour)
			p.runs(t, 6*time.Hour+45*time.Minute)

			byHour := map[time.Time]int{}
			for _, at := range p.tries {
				byHour[at.UTC().Truncate(time.Hour)]++
			}
			var missed, doubled []string
			for hour := begin.UTC().Truncate(time.Hour).Add(time.Hour); hour.Before(p.now); hour = hour.Add(time.Hour) {
				switch n := byHour[hour]; {
				case n == 0:
					missed = append(missed, hour.Sub(stopped.UTC().Truncate(time.Hour)).String())
				case n > 1:
					doubled = append(doubled, hour.String())
				}
			}
			if diff := cmp.Diff([]string{"1h0m0s", "2h0m0s"}, missed); diff != "" || doubled != nil {
				t.Errorf("hours without a backup, after the stop (-want +got):\n%s\ntwice in %v", diff, doubled)
			}
			var late []time.Time
			for _, at := range p.tries {
				if at.Sub(at.Truncate(time.Hour)) >= time.Minute {
					late = append(late, at)
				}
			}
			if len(late) != 1 || !late[0].Equal(stopped.Add(3*time.Hour)) {
				t.Errorf("caught up at %v, want once, when the daemon was back at %v", late, stopped.Add(3*time.Hour))
			}
			if len(p.tries) != 28 {
				t.Errorf("%d backups in 30 hours, want one for each but two", len(p.tries))
			}
			kept, _ := Retention{Hourly: 10}.Keep(p.backups, p.now)
			older, _ := Retention{Daily: 7}.Keep(p.backups, p.now)
			if len(kept) != 10 || len(older) != 2 || len(p.backups) != 11 { // the newest of the day before is older than all ten
				t.Errorf("kept are %v", times(p.backups))
			}
		})
	}
}

// TestOnceADay: a time that the local clock has twice, or not at all, comes once on every day.
func TestOnceADay(t *testing.T) {
	berlin := inBerlin(t)
	for _, day := range []time.Time{time.Date(2026, 3, 28, 0, 0, 0, 0, berlin), time.Date(2026, 10, 24, 0, 0, 0, 0, berlin)} {
		p := &pretend{now: day, plan: Plan{Schedule: schedule(t, "30 2 * * *"), Mine: true}, backups: []Receipt{begun(day)}}
		p.runs(t, 72*time.Hour)
		if len(p.tries) != 3 {
			t.Errorf("in three days from %v it came at %v", day, p.tries)
		}
	}
}

// TestTimer: a run that fails is tried again, not without end; there is none while one runs, nor where it is not this host's part; and a
// clock that was wrong for a while does not end the backups.
func TestTimer(t *testing.T) {
	begin := time.Date(2026, 11, 29, 15, 30, 0, 0, time.UTC)
	fresh := func() *pretend {
		return &pretend{now: begin, plan: Plan{Schedule: schedule(t, "0 * * * *"), Mine: true}, backups: []Receipt{begun(begin)}}
	}
	p := fresh()
	p.fails = true
	p.runs(t, 90*time.Minute)
	if len(p.tries) != 6 || p.tries[1].Sub(p.tries[0]) != again {
		t.Errorf("in an hour of failures it was tried at %v", p.tries)
	}
	p.fails = false
	p.runs(t, 30*time.Minute)
	if len(p.tries) != 7 || len(p.backups) != 2 {
		t.Errorf("after them at %v", p.tries[6:])
	}

	p = fresh()
	p.plan.Mine = false
	p.runs(t, 3*time.Hour)
	p.plan.Mine, p.plan.Running = true, true
	p.runs(t, 3*time.Hour)
	p.plan.Running, p.plan.Schedule = false, Schedule{}
	p.runs(t, 3*time.Hour)
	if p.tries != nil {
		t.Errorf("not its part, one runs, no schedule: made at %v", p.tries)
	}

	p = fresh()
	p.now = begin.AddDate(10, 0, 0)
	p.runs(t, time.Hour)
	p.now = begin
	p.runs(t, 24*time.Hour)
	if today, _ := Newest(p.backups, p.now); len(p.tries) != 26 || p.now.Sub(today.Manifest.Started) > time.Hour {
		t.Errorf("after a clock that was ten years ahead the newest is of %v, of %d", today.Manifest.Started, len(p.tries))
	}

	lost := errors.New("nobody knows")
	timer := &Timer{Now: time.Now, Plan: func(time.Time) (Plan, error) { return Plan{Schedule: schedule(t, "* * * * *"), Mine: true}, lost }}
	if err := timer.Turn(); !errors.Is(err, lost) {
		t.Errorf("without a plan: %v", err)
	}
}

func TestAttempt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "backup.json")
	if a, err := LoadAttempt(path); err != nil || a != (Attempt{}) {
		t.Errorf("before the first: %+v, %v", a, err)
	}
	started := time.Date(2026, 11, 29, 15, 0, 0, 0, time.UTC)
	for _, a := range []Attempt{
		{Started: started},
		EndedAttempt(started, "kt-kt01-e1-20261129T150000Z", nil),
		EndedAttempt(started, "", &postgres.SetupError{Problem: "PostgreSQL does not run on this host", Remedy: "start it"}),
		EndedAttempt(started, "", errors.New("no idea")),
	} {
		if err := a.Save(path); err != nil {
			t.Fatal(err)
		}
		got, err := LoadAttempt(path)
		if diff := cmp.Diff(a, got); diff != "" || err != nil {
			t.Errorf("%v (-saved +loaded):\n%s", err, diff)
		}
		if strings.Contains(got.Error, "PostgreSQL") != (got.Hint == "start it") {
			t.Errorf("read is %+v", got)
		}
	}
}
