package machine

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Dial connects from where the clients are, or from a host, to an address of the site, whose names are known here too. It is a
// net.Dialer's DialContext for a http.Transport.
func (s *Site) Dial(ctx context.Context, from *Host, network, address string) (net.Conn, error) {
	name, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	for _, h := range s.Hosts {
		if short, _, _ := strings.Cut(h.Name, "."); name == h.Name || name == short {
			name = h.Address
		}
	}
	pid := s.clients
	if from != Clients {
		pid = from.pid
	}
	var conn net.Conn
	err = inNetworkOf(pid, func() (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(name, port))
		return err
	})
	return conn, err
}

// Listen listens where the clients are, at ClientsAddress.
func (s *Site) Listen() (listener net.Listener, err error) {
	err = inNetworkOf(s.clients, func() (err error) {
		listener, err = net.Listen("tcp", net.JoinHostPort(ClientsAddress, "0"))
		return err
	})
	return listener, err
}

// DialUnix connects to a socket of the host as a user of its own.
func (h *Host) DialUnix(ctx context.Context, uid int, path string) (net.Conn, error) {
	var conn net.Conn
	err := onThread(func() (err error) {
		if err := unix.Chroot(h.File("/")); err != nil { // sockets are found by their files
			return err
		}
		const keep = ^uintptr(0)
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, keep, uintptr(uid), keep); errno != 0 { // of this thread alone
			return errno
		}
		conn, err = new(net.Dialer).DialContext(ctx, "unix", path)
		return err
	})
	return conn, err
}

// inNetworkOf calls do where new sockets belong to the network of the process.
func inNetworkOf(pid int, do func() error) error {
	return onThread(func() error {
		fd, err := unix.Open(fmt.Sprintf("/proc/%d/ns/net", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("entering the network of process %d: %w", pid, err)
		}
		return do()
	})
}

// onThread calls do on a thread with a root and a working directory of its own, which ends afterwards.
func onThread(do func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			done <- fmt.Errorf("parting from the other threads' root: %w", err)
			return
		}
		done <- do()
	}()
	return <-done
}
