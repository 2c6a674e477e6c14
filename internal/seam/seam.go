//go:build !faults

package seam

import "time"

// Now is the time, for people and for what has a date. Ages are not measured with it.
func Now() time.Time { return time.Now() }

// Reached says that a point was reached which a crash may follow.
func Reached(string) {}
