package replication

import (
	"time"

	"golang.org/x/sys/unix"
)

// Never is the age of what has not happened.
const Never = time.Duration(1<<63 - 1)

// Uptime is the time since the machine started, time asleep included. It never jumps, and it goes on while this process or
// the whole machine stands still, so an age measured with it is never too small.
func Uptime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic("no boot-time clock: " + err.Error()) // Linux has it since 2.6.39
	}
	return time.Duration(t.Nano())
}
