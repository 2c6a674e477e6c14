package rest

import (
	"math/rand/v2"
	"sync"
	"time"

	"keytrustee/kms"
)

// handoverHeader carries the number under which a success was handed to the passive.
const handoverHeader = "X-Keytrustee-Handover"

// handovers knows the successes that are in the passive's hand. What it does not hear of in time counts as told.
type handovers struct {
	deadline time.Duration
	mu       sync.Mutex // for map operations only
	given    map[uint64]handover
}

type handover struct {
	hand  *kms.Hand
	timer *time.Timer
}

func newHandovers(deadline time.Duration) *handovers {
	return &handovers{deadline: deadline, given: map[uint64]handover{}}
}

// give puts hand into the passive's hand under a number that nobody had before, not even before a restart.
func (t *handovers) give(hand *kms.Hand) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	number := rand.Uint64()
	for number == 0 || t.given[number].hand != nil {
		number = rand.Uint64()
	}
	timer := time.AfterFunc(t.deadline, func() { t.report(number, true) })
	t.given[number] = handover{hand, timer}
	return number
}

// report ends the handover; only the first report of a number does.
func (t *handovers) report(number uint64, told bool) {
	t.mu.Lock()
	h, ok := t.given[number]
	delete(t.given, number)
	t.mu.Unlock()
	if !ok {
		return
	}
	h.timer.Stop()
	if told {
		h.hand.Told()
	} else {
		h.hand.Returned()
	}
}
