// Package undumped keeps the memory of a program that holds secrets from other processes of its user, and out of core images.
package undumped

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Set makes this process one that leaves no core image, and whose memory, environment and open files no other process reads but those of root.
// It holds until the process becomes another user, which may undo it, and programs that it starts do not inherit it. Files of /proc/self
// belong to root from then on: what has to be written there is written before. A limit of core images (RLIMIT_CORE) would add nothing, and
// PostgreSQL would inherit it, whose core images hold sealed keys alone.
func Set() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("closing the memory of this process to others (PR_SET_DUMPABLE): %w", err)
	}
	return nil
}
