package main

import (
	"fmt"
	"os"
	"os/exec"
)

// prepareStart returns what starts the services, to be called when this process is root no more. Where there is no
// systemd, or this is not root, start only says what to do. A command that fails before it leaves nothing behind.
// again: this host comes back to a pair.
func (a *app) prepareStart(not, again bool) (start func() error, err error) {
	const services = "keytrustee-db keytrusteed"
	_, noSystemd := os.Stat("/run/systemd/system")
	if not || noSystemd != nil || os.Geteuid() != 0 {
		return func() error {
			then := ""
			if !again {
				then = ", and on a new pair run ktadmin enable-synchronous-replication on the active"
			}
			a.say("next: start the services on this host (%s)%s", services, then)
			return nil
		}, nil
	}
	// A child that is still root waits for one byte. Without it, at our end, it ends too.
	child := exec.Command("/bin/sh", "-c", "read -r go && exec systemctl start "+services)
	child.Stdout, child.Stderr = os.Stderr, os.Stderr
	trigger, err := child.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := child.Start(); err != nil {
		return nil, fmt.Errorf("preparing to start the services: %w", err)
	}
	return func() error {
		if _, err := trigger.Write([]byte("go\n")); err != nil {
			return err
		}
		if err := child.Wait(); err != nil {
			return fmt.Errorf("starting %s: %w", services, err)
		}
		return nil
	}, nil
}
