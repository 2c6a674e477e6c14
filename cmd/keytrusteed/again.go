package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"keytrustee/replication"
)

// lastWord is how long a daemon whose duty has changed goes on answering what it has begun. It takes no connection any more.
const lastWord = time.Second

// again lets this process become a new keytrusteed, with the same id and none of its memory, if the pair has given this host
// another duty: no cache, no table and no connection of the old duty may serve under the new one. It returns every other
// error, and nil, as it is.
func again(err error) error {
	if !errors.Is(err, replication.ErrDutyChanged) {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("starting anew: %w", err)
	}
	return fmt.Errorf("starting %s anew: %w", program, syscall.Exec(program, os.Args, os.Environ()))
}
