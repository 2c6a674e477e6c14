package audit

import (
	"context"
	"crypto/tls"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The limits of a connection to a receiver.
const (
	connectLimit = 5 * time.Second
	writeLimit   = 5 * time.Second
	silence      = 10 * time.Second // a receiver whose machine acknowledges nothing for so long is gone
)

// connect returns a connection that breaks when the other machine is silent.
func connect(ctx context.Context, address string, config *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectLimit)
	defer cancel()
	d := &net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		cerr := c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silence.Milliseconds()))
		})
		if cerr != nil {
			return cerr
		}
		return err
	}}
	if config == nil {
		return d.DialContext(ctx, "tcp", address)
	}
	return (&tls.Dialer{NetDialer: d, Config: config}).DialContext(ctx, "tcp", address)
}

// write sends text whole. After an error the connection is of no use: part of it may have been sent.
func write(conn net.Conn, text []byte) error {
	if err := conn.SetWriteDeadline(time.Now().Add(writeLimit)); err != nil {
		return err
	}
	_, err := conn.Write(text)
	return err
}

// unacknowledged is how many octets of what was written the other machine has not confirmed.
func unacknowledged(conn net.Conn) (n int, err error) {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	c, ok := conn.(syscall.Conn)
	if !ok {
		return 0, syscall.ENOTSOCK
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	if cerr := raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }); cerr != nil {
		return 0, cerr
	}
	return n, err
}
