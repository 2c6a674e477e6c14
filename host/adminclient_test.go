package host

import (
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"keytrustee/postgres/pgtest"
)

// TestStatusOfFrozenDaemon: a daemon that takes the connection and says nothing holds nobody up for long.
func TestStatusOfFrozenDaemon(t *testing.T) {
	socket := filepath.Join(pgtest.Dir(t), "admin.sock")
	l, err := net.Listen("unix", socket) // its queue takes connections that nobody accepts
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	begun := time.Now()
	_, err = AdminClient{Socket: socket}.Status(t.Context())
	if !errors.Is(err, ErrDaemonStuck) {
		t.Errorf("error %v, want %v", err, ErrDaemonStuck)
	}
	if took := time.Since(begun); took > statusLimit+2*time.Second {
		t.Errorf("took %v", took)
	}
	l.Close()
	if _, err := (AdminClient{Socket: socket}).Status(t.Context()); !errors.Is(err, ErrDaemonDown) {
		t.Errorf("with nobody there: %v, want %v", err, ErrDaemonDown)
	}
}
