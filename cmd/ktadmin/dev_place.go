package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

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
		if mode := info.Mode(); mode&0o001 == 0 {
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

// The pair's directory, dev.json and the programs in it say what root runs and removes, so they are root's where root made
// the pair. Only the homes and the sockets are the user's; there root writes nothing itself, and follows no link.

// ownDir makes the directory, which is empty, this process's user's alone.
func ownDir(dir string) error {
	return errors.Join(os.Chown(dir, os.Geteuid(), os.Getegid()), os.Chmod(dir, 0o755))
}

// checkOwnDir refuses to root a directory in which another user can exchange what is in it.
func checkOwnDir(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if s, ok := info.Sys().(*syscall.Stat_t); os.Geteuid() == 0 && ok && s.Uid != 0 {
		return &postgres.SetupError{Problem: fmt.Sprintf("%s belongs to the user number %d, who would say what root does here", dir, s.Uid),
			Remedy: "run the command as that user, or make another pair"}
	}
	return nil
}

// makeDirectories makes those of the node that are the user's.
func (n *devNode) makeDirectories() error {
	return errors.Join(makeFor(n.pair.user, n.home()), makeFor(n.pair.user, n.sockets()))
}

// makeSockets makes the directory of both hosts' sockets: short, because a socket's path is at most 107 bytes.
func (p *devPair) makeSockets() error {
	if p.Sockets == "" {
		dir, err := os.MkdirTemp("/tmp", "keytrustee-")
		if err != nil {
			return err
		}
		p.Sockets = dir
	} else if err := os.Mkdir(p.Sockets, 0o700); err != nil && !errors.Is(err, fs.ErrExist) { // where /tmp was emptied
		return err
	}
	info, err := os.Lstat(p.Sockets)
	if err != nil {
		return err
	}
	if s, ok := info.Sys().(*syscall.Stat_t); !info.IsDir() || !ok || int(s.Uid) != os.Geteuid() {
		return &postgres.SetupError{Problem: "another user has made " + p.Sockets, Remedy: "ktadmin dev down --dir " + p.dir + ", and up again"}
	}
	return errors.Join(os.Chmod(p.Sockets, 0o711), p.save())
}

// read returns what is in a file of the pair.
func (p *devPair) read(path string) ([]byte, error) {
	root, err := os.OpenRoot(p.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	within, err := filepath.Rel(p.dir, path)
	if err != nil {
		return nil, err
	}
	return root.ReadFile(within)
}

// checkPorts fails if another program has one of the pair's ports.
func (p *devPair) checkPorts(ctx context.Context) error {
	for _, n := range p.Nodes {
		for flag, port := range map[string]int{"port": p.Port, "db-port": p.DBPort, "cluster-port": p.ClusterPort} {
			var listen net.ListenConfig
			l, err := listen.Listen(ctx, "tcp", net.JoinHostPort(n.Address, strconv.Itoa(port)))
			if err != nil {
				return &postgres.SetupError{
					Problem: fmt.Sprintf("port %d of %s can not be used", port, n.Address),
					Remedy:  fmt.Sprintf("choose another one with --%s, or end the program that has it", flag),
					Err:     err,
				}
			}
			l.Close()
		}
	}
	return nil
}
