package pairtest

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"keytrustee/internal/machine"
	"keytrustee/replication/forgetfs"
)

// forgetful is the program on a host that serves a file system which can forget; its disk is mounted here.
const (
	forgetful     = "forgetful"
	forgetfulDisk = "/var/lib/keytrustee-disk"
)

func init() { machine.Program(forgetful, serveForgetful) }

// serveForgetful mounts at its first argument what lies below the second one, looks for secrets in what is written, and forgets, when it is
// told to.
func serveForgetful() error {
	w := newWatch()
	written := func(file func() string, offset int64, data []byte) {
		if w.looks() {
			w.written(file(), offset, data)
		}
	}
	files, err := forgetfs.Mount(os.Args[1], os.Args[2], forgetfs.Options{Lasting: []string{"*.log", "*.out"}, Written: written})
	if err != nil {
		return err
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		word, digits, _ := strings.Cut(lines.Text(), " ")
		secret, err := hex.DecodeString(digits)
		switch {
		case err != nil:
			fmt.Println(err)
		case word == "watch":
			w.lookFor(secret)
			fmt.Println("watching")
		case word == "ready?":
			fmt.Println("ready")
		case word == "seen?":
			fmt.Println(strings.Join(w.files(secret), "\x00"))
		case word == "forget":
			if err := files.Forget(); err != nil {
				fmt.Println(err)
				continue
			}
			fmt.Println("forgotten")
		}
	}
	select {} // its host ends it
}
