package pgstore

import (
	"log/slog"
	"sync"
	"time"
)

// unservedPace is how often reads that were not served are told of: clients ask again and again, thousands of times a minute.
const unservedPace = 10 * time.Second

// unserved counts the reads that the database did not answer.
type unserved struct {
	mu    sync.Mutex // guards what follows
	reads int        // since told
	told  time.Time
}

// tell logs the first, and after that how many there were, with the last one's error.
func (u *unserved) tell(log *slog.Logger, now time.Time, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.reads++
	if now.Sub(u.told) < unservedPace {
		return
	}
	log.Warn("reads were not served", "reads", u.reads, "error", err)
	u.reads, u.told = 0, now
}
