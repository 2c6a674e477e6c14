package pairtest

import (
	"context"
	"net"
	"runtime"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"keytrustee/postgres"
)

// SQL connects to the node's database as its administrator. The connection is closed at the end of the test.
func (n *Node) SQL(t testing.TB) *pgx.Conn {
	t.Helper()
	conn, err := n.Connect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// Connect is SQL for a caller that closes the connection, and wants to know why there is none.
func (n *Node) Connect(ctx context.Context) (*pgx.Conn, error) {
	config, err := n.pair.place.adminConfig(n)
	if err != nil {
		return nil, err
	}
	return pgx.ConnectConfig(ctx, config)
}

// dialAs connects as another user of the system: the server believes who the thread is that connects.
func dialAs(user *postgres.OSUser) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		runtime.LockOSThread()
		if err := setThreadUser(user.UID); err != nil {
			return nil, err // the thread stays locked, and ends with its goroutine
		}
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if back := setThreadUser(0); back != nil {
			return nil, back
		}
		runtime.UnlockOSThread()
		return conn, err
	}
}

// setThreadUser changes the effective user of the calling thread alone; package syscall's Setresuid would change every thread.
func setThreadUser(uid int) error {
	const keep = ^uintptr(0)
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, keep, uintptr(uid), keep); errno != 0 {
		return errno
	}
	return nil
}
