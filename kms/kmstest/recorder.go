package kmstest

import (
	"slices"
	"sync"

	"keytrustee/kms"
)

// Recorder remembers what is recorded, and no reads.
type Recorder struct {
	mu     sync.Mutex
	fail   func(kms.Event) error
	events []kms.Event
}

// Fail makes Record ask before each event; an error is returned and the event forgotten. nil ends it.
func (r *Recorder) Fail(ask func(kms.Event) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = ask
}

// Events returns what was recorded so far, denials included.
func (r *Recorder) Events() []kms.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// Record is kms.Recorder's.
func (r *Recorder) Record(e kms.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		if err := r.fail(e); err != nil {
			return err
		}
	}
	r.events = append(r.events, e)
	return nil
}

// Access is kms.Recorder's.
func (r *Recorder) Access(kms.Event) {}
