package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"

	"keytrustee/host"
	"keytrustee/internal/config"
)

// explain is why the daemon ends, and what to do about it.
func explain(err error) string {
	text := "keytrusteed: " + err.Error()
	if hint := hint(err); hint != "" {
		text += "\nhint: " + hint
	}
	return text
}

func hint(err error) string {
	if h, ok := errors.AsType[*host.HintedError](err); ok {
		return h.Hint
	}
	if h := (interface{ Hint() string })(nil); errors.As(err, &h) {
		return h.Hint()
	}
	var address string
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Addr != nil {
		address = op.Addr.String()
	}
	switch {
	case errors.Is(err, config.ErrNotInitialized):
		return "is --confdir right? a fresh host wants ktadmin init first; one whose disk was lost comes back as docs/runbook/restore-from-passive.md says"
	case errors.Is(err, syscall.EADDRINUSE):
		_, port, _ := net.SplitHostPort(address)
		return fmt.Sprintf("stop what uses the port (ss -ltnp 'sport = :%s'), or choose another one in node.yaml", port)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "listen_address in node.yaml is none of those that `ip address` shows"
	case errors.Is(err, syscall.ENOSPC):
		return "make room on that disk, as docs/runbook/disk-full.md says"
	case errors.Is(err, fs.ErrNotExist):
		return "put the file back: a host's files are named in docs/runbook/on-call.md"
	case errors.Is(err, fs.ErrPermission):
		return "the files of a host belong to the user of the service: ls -l"
	}
	return ""
}

// checkUser refuses root: what a daemon of root's writes, the service can not read any more.
func checkUser() error {
	if os.Geteuid() != 0 {
		return nil
	}
	return &host.HintedError{Err: errors.New("it does not run as root, whose files the service could not read"),
		Hint: "service keytrusteed start; or as its user: runuser -u keytrustee -- keytrusteed"}
}
