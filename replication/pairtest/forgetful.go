package pairtest

import (
	"bufio"
	"fmt"
	"os"

	"keytrustee/internal/machine"
	"keytrustee/replication/forgetfs"
)

// forgetful is the program on a host that serves a file system which can forget; its disk is mounted here.
const (
	forgetful     = "forgetful"
	forgetfulDisk = "/var/lib/keytrustee-disk"
)

func init() { machine.Program(forgetful, serveForgetful) }

// serveForgetful mounts at its first argument what lies below the second one, and forgets when it is told to.
func serveForgetful() error {
	files, err := forgetfs.Mount(os.Args[1], os.Args[2], forgetfs.Options{Lasting: []string{"*.log", "*.out"}})
	if err != nil {
		return err
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		switch lines.Text() {
		case "ready?":
			fmt.Println("ready")
		case "forget":
			if err := files.Forget(); err != nil {
				fmt.Println(err)
				continue
			}
			fmt.Println("forgotten")
		}
	}
	select {} // its host ends it
}
