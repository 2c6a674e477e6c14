package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"keytrustee/internal/durable"
	"keytrustee/postgres"
)

// copyBinaries puts ktadmin and keytrusteed where the unprivileged user can run them.
func (p *devPair) copyBinaries() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	bin := filepath.Join(p.dir, "bin")
	if err := errors.Join(os.MkdirAll(bin, 0o755), os.Chmod(bin, 0o755)); err != nil { // whatever the umask
		return err
	}
	for _, program := range []string{"ktadmin", "keytrusteed"} {
		from := filepath.Join(filepath.Dir(self), program)
		data, err := os.ReadFile(from)
		if errors.Is(err, fs.ErrNotExist) {
			return &postgres.SetupError{Problem: "there is no " + from, Remedy: "build both programs into one directory: make build"}
		} else if err != nil {
			return err
		}
		if err := durable.WriteFile(p.bin(program), data, 0o755); err != nil { // replaced, not overwritten: the old one may run
			return err
		}
	}
	return nil
}

// makeTraversable lets the unprivileged user reach the pair's directory. It says what it had to open.
func (p *devPair) makeTraversable(say func(string, ...any)) error {
	if os.Geteuid() != 0 {
		return nil
	}
	for dir := p.dir; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if mode := info.Mode().Perm(); mode&0o001 == 0 {
			if err := os.Chmod(dir, mode|0o011); err != nil {
				return err
			}
			say("%s can now be traversed by every user (chmod a+x), for %s has to reach the pair", dir, p.User)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

// own gives path to the user that the pair runs as.
func (p *devPair) own(path string) error {
	if p.user.UID == os.Geteuid() {
		return nil
	}
	return os.Chown(path, p.user.UID, p.user.GID)
}

func (n *devNode) makeDirectories() error {
	for _, dir := range []string{n.home(), filepath.Join(n.home(), "log"), n.pair.Sockets, n.sockets()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if err := n.pair.own(dir); err != nil {
			return err
		}
	}
	return nil
}
