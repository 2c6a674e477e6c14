package progress

import "time"

// A rate is that of the last while: what was fast an hour ago says nothing of now. One that is measured over less than a moment says
// nothing at all.
const (
	while  = 15 * time.Second
	moment = time.Second
)

// rate is what was seen of a number that grows, the oldest first.
type rate []seen

type seen struct {
	at   time.Time
	done int64
}

// add notes how far it is now. Of each moment one is kept, and one that is older than a while.
func (r *rate) add(now time.Time, done int64) {
	if n := len(*r); n > 0 && now.Sub((*r)[n-1].at) < moment {
		return
	}
	*r = append(*r, seen{now, done})
	*r = r.last(now)
}

// perSecond is how much came in a second of the last while. false: it is too early to say.
func (r rate) perSecond(now time.Time, done int64) (float64, bool) {
	r = r.last(now)
	if len(r) == 0 || now.Sub(r[0].at) < moment {
		return 0, false
	}
	return float64(done-r[0].done) / now.Sub(r[0].at).Seconds(), true
}

// last is what counts: the newest that is a while old, and what came after it.
func (r rate) last(now time.Time) rate {
	for len(r) > 1 && now.Sub(r[1].at) >= while {
		r = r[1:]
	}
	return r
}
