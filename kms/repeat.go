package kms

import "time"

type repeats struct{ now func() time.Time }

func newRepeats(now func() time.Time) *repeats { return &repeats{now: now} }
