package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"keytrustee/internal/durable"
)

// Prepare is what comes before the server is run, by Start or by running Argv: it returns a *SetupError if the server
// can not run here (Check; no database in Data, or one of another version; port in use for a second; it runs already); it removes the
// lock files of a server that was killed, once none of its processes is left; and it empties postgresql.auto.conf, whose
// settings (ALTER SYSTEM, or a base backup of another host) would override those of Conf.
func (s *Server) Prepare(ctx context.Context) error {
	if err := s.Check(); err != nil {
		return err
	}
	if err := s.checkVersion(); err != nil {
		return err
	}
	if pid, running := s.Pid(); running {
		return &SetupError{Problem: fmt.Sprintf("PostgreSQL in %s runs already, as process %d", s.Data, pid), Remedy: "stop it first"}
	}
	if err := s.RunAs.makeDir(s.Socket); err != nil {
		return err
	}
	if err := s.awaitOrphans(ctx); err != nil {
		return err
	}
	if err := s.awaitPort(ctx); err != nil {
		return err
	}
	for _, stale := range []string{filepath.Join(s.Data, "postmaster.pid"), s.socketFile() + ".lock", s.socketFile()} {
		if err := durable.Remove(stale); err != nil {
			return err
		}
	}
	auto := filepath.Join(s.Data, "postgresql.auto.conf")
	if err := durable.WriteFile(auto, nil, 0o600); err != nil {
		return err
	}
	return s.RunAs.own(auto)
}

func (s *Server) checkVersion() error {
	content, err := os.ReadFile(filepath.Join(s.Data, "PG_VERSION"))
	if err != nil {
		return &SetupError{Problem: "there is no database in " + s.Data, Err: err, Remedy: "make one: ktadmin db --bootstrap, or ktadmin init-slave"}
	}
	if v := strings.TrimSpace(string(content)); v != strconv.Itoa(s.Version.Major) {
		return &SetupError{
			Problem: fmt.Sprintf("the database in %s is of PostgreSQL %s, and %s has %s", s.Data, v, s.BinDir, s.Version),
			Remedy:  "install PostgreSQL " + v,
		}
	}
	return nil
}

// portFreed is how long a port may take to be free when the server that had it is gone: the kernel closes the sockets of a killed process
// after the process can no longer be seen to be the server's.
const portFreed = time.Second

// awaitPort returns nil when nobody has the port, and checkPort's error if somebody keeps it.
func (s *Server) awaitPort(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, portFreed)
	defer cancel()
	for {
		err := s.checkPort()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pollEvery):
		}
	}
}

// checkPort returns a *SetupError if another server has the port, at an address or at the socket.
func (s *Server) checkPort() error {
	conn, err := net.Dial("unix", s.socketFile())
	if err == nil {
		conn.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ENOENT) { // left over by a dead server, or not there
		return &SetupError{Problem: "another server listens at " + s.socketFile(), Err: err, Remedy: "stop it, or choose another port or socket directory"}
	}
	for _, address := range s.Listen {
		if address == "*" {
			address = ""
		}
		l, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(s.Port)))
		switch {
		case err == nil:
			l.Close()
		case errors.Is(err, syscall.EADDRINUSE):
			return &SetupError{
				Problem: fmt.Sprintf("port %d of %s is in use", s.Port, address),
				Remedy:  fmt.Sprintf("choose another port, or stop what uses it (ss -ltnp 'sport = :%d')", s.Port),
			}
		case errors.Is(err, syscall.EADDRNOTAVAIL):
			return &SetupError{Problem: address + " is no address of this host", Remedy: "name one of those that `ip address` shows"}
		}
	}
	return nil
}

// awaitOrphans returns when no process of the server is left. Those whose postmaster was killed see that and end by
// themselves; until then a second server would write to the same files.
func (s *Server) awaitOrphans(ctx context.Context) error {
	return s.awaitNone(ctx, func() error { return nil })
}

// awaitNone returns when no process of the server is left, and does end again and again until then.
func (s *Server) awaitNone(ctx context.Context, end func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		if err := end(); err != nil {
			return err
		}
		pids := s.processes()
		if len(pids) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			slices.Sort(pids)
			return &SetupError{
				Problem: fmt.Sprintf("processes %v of an earlier PostgreSQL still work in %s", pids, s.Data),
				Remedy:  "wait until they have ended, or end them",
			}
		case <-time.After(pollEvery):
		}
	}
}
