package faults

import (
	"context"
	"time"
)

// A canary that can not fly shows that the air is bad: a goroutine that wants to run every 10 ms. A second of which it was late for more
// than 300 ms is crowded.
const (
	canaryEvery  = 10 * time.Millisecond
	canaryWindow = time.Second
	canaryLate   = 300 * time.Millisecond
)

// canary records when the machine was too crowded for anybody to judge how long something took. It returns when ctx ends.
func canary(ctx context.Context, record *Recorder) {
	var late time.Duration
	opened, last := record.Now(), record.Now()
	for ctx.Err() == nil {
		time.Sleep(canaryEvery)
		now := record.Now()
		late += now - last - canaryEvery
		last = now
		if now-opened < canaryWindow {
			continue
		}
		if late > canaryLate {
			record.Event(Event{Kind: Crowded, At: opened, Until: now, Detail: late.Round(time.Millisecond).String() + " late"})
		}
		opened, late = now, 0
	}
}
