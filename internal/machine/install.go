package machine

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

// self is where a host has this program, under the names by which it is called.
const self = "/usr/local/lib/keytrustee-machine"

var aliases = []string{"/usr/bin/sudo", "/usr/bin/ssh", "/usr/bin/systemctl", "/usr/sbin/service"}

// open opens what will be installed, while this machine's root is still there. What it returns installs it into the root of then.
func (b *origin) open() (install func() error, err error) {
	type payload struct {
		from *os.File
		to   string
		mode os.FileMode
	}
	var all []payload
	add := func(from, to string, mode os.FileMode) {
		f, oerr := os.Open(from)
		err = errors.Join(err, oerr)
		all = append(all, payload{f, to, mode})
	}
	add("/proc/self/exe", self, 0o755)
	if !b.Bare {
		add(filepath.Join(b.Bin, "ktadmin"), "/usr/bin/ktadmin", 0o755)
		add(filepath.Join(b.Bin, "keytrusteed"), "/usr/bin/keytrusteed", 0o755)
		for _, unit := range []string{"keytrustee-db.service", "keytrusteed.service"} {
			add(filepath.Join(b.Units, unit), unitFile(unit), 0o644)
		}
	}
	return func() error {
		for _, p := range all {
			text, err := io.ReadAll(p.from)
			if err != nil {
				return err
			}
			p.from.Close()
			if err := write(p.to, text, p.mode); err != nil {
				return err
			}
		}
		for _, name := range aliases {
			if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			if err := os.Symlink(self, name); err != nil {
				return err
			}
		}
		return nil
	}, err
}
