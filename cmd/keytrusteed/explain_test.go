package main

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"testing"

	"keytrustee/host"
	"keytrustee/internal/config"
)

func TestExplain(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, used := net.Listen("tcp", l.Addr().String())
	_, elsewhere := net.Listen("tcp", "192.0.2.1:0")
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for _, row := range []struct {
		err  error
		want string
	}{
		{used, "ss -ltnp 'sport = :" + port + "'"},
		{elsewhere, "listen_address"},
		{fmt.Errorf("root key: %w", &fs.PathError{Op: "open", Path: "root.key", Err: fs.ErrNotExist}), "docs/runbook/on-call.md"},
		{fmt.Errorf("root key: %w", &fs.PathError{Op: "open", Path: "root.key", Err: fs.ErrPermission}), "the user of the service"},
		{fmt.Errorf("%w: there is no x", config.ErrNotInitialized), "is --confdir right?"},
		{fmt.Errorf("outer: %w", &host.HintedError{Err: fs.ErrNotExist, Hint: "do this"}), "do this"},
	} {
		got := explain(row.err)
		if first, second, _ := strings.Cut(got, "\n"); first != "keytrusteed: "+row.err.Error() || !strings.HasPrefix(second, "hint: ") || !strings.Contains(second, row.want) {
			t.Errorf("%v: %q, want a hint with %q", row.err, got, row.want)
		}
	}
}

func TestCheckUser(t *testing.T) {
	if refused := checkUser() != nil; refused != (os.Geteuid() == 0) {
		t.Errorf("user %d: refused %v", os.Geteuid(), refused)
	}
}
