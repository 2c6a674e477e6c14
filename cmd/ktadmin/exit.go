package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"keytrustee/backup"
	"keytrustee/host"
	"keytrustee/internal/config"
	"keytrustee/postgres"
)

// The exit statuses, promised to scripts.
const (
	exitOK      = 0
	exitFailed  = 1
	exitUsage   = 2
	exitRefused = 3
	exitNobody  = 4
	exitDenied  = 5

	// Of cluster summary, info and nodes, while writes are not open.
	exitReadOnly  = 6
	exitNoService = 7
	exitConflict  = 8
)

var exitTable = []struct {
	status  int
	meaning string
}{
	{exitOK, "done"},
	{exitFailed, "failed; the hint says whether to repeat the command"},
	{exitUsage, "the command line or the configuration is wrong; nothing was changed"},
	{exitRefused, "the state of this host, or of the pair, does not allow it"},
	{exitNobody, "keytrusteed does not run or does not answer, or the other host can not be reached"},
	{exitDenied, "this user may not; run it as root or as the service's user"},
	{exitReadOnly, "cluster summary, info, nodes: writes are refused, keys are read"},
	{exitNoService, "cluster summary, info, nodes: writes are refused, and no host is known to read keys"},
	{exitConflict, "cluster summary, info, nodes: a host is fenced, or the two hosts are not of one history"},
}

func exitStatuses() string {
	var b strings.Builder
	b.WriteString("Exit statuses:\n")
	for _, row := range exitTable {
		fmt.Fprintf(&b, "  %d  %s\n", row.status, row.meaning)
	}
	return b.String()
}

// usageError is a command line that is wrong.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// deniedError is a user who may not.
type deniedError struct{ problem, remedy string }

func (e *deniedError) Error() string { return e.problem }
func (e *deniedError) Hint() string  { return e.remedy }

// exitStatus finds the row of the table that err belongs to.
func exitStatus(err error) int {
	if ended, ok := errors.AsType[*endedError](err); ok {
		return ended.status
	}
	if closed, ok := errors.AsType[*closedError](err); ok {
		return closed.status()
	}
	var (
		usage   *usageError
		invalid *config.InvalidError
		denied  *deniedError
		refused *host.HintedError
		against *standsAgainstError
		setup   *postgres.SetupError
		damage  *postgres.DamageError
		pages   *postgres.PagesError
		child   *childError
		ship    *backup.ShipError
		nobodys *backup.UnauthenticatedError
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &child):
		return child.status
	case errors.As(err, &ship): // what a target refuses is nothing that this user may not
		return exitFailed
	case errors.As(err, &usage), errors.As(err, &invalid), strings.HasPrefix(err.Error(), "unknown command"):
		return exitUsage
	case errors.As(err, &denied), errors.Is(err, fs.ErrPermission):
		return exitDenied
	case errors.Is(err, host.ErrDaemonDown), errors.Is(err, host.ErrDaemonStuck), errors.Is(err, host.ErrUnreachable):
		return exitNobody
	case errors.As(err, &damage), errors.As(err, &pages), errors.Is(err, errUnended), errors.Is(err, errUnopened):
		return exitFailed
	case errors.As(err, &refused), errors.As(err, &against), errors.As(err, &setup), errors.As(err, &nobodys), errors.Is(err, config.ErrNotInitialized):
		return exitRefused
	}
	return exitFailed
}

// hint is what to do about err; every error has one.
func hint(cmd *cobra.Command, err error) string {
	if u, ok := errors.AsType[*host.UnsureError](err); ok {
		return u.Do
	}
	if h, ok := errors.AsType[*host.HintedError](err); ok && h.Hint != "" {
		return h.Hint
	}
	if h := (interface{ Hint() string })(nil); errors.As(err, &h) && h.Hint() != "" {
		return h.Hint()
	}
	if _, damaged := errors.AsType[*postgres.PagesError](err); damaged {
		return "ktadmin db check says which keys are left on this host, and ktadmin status what to do; nothing was changed"
	}
	switch exitStatus(err) {
	case exitUsage:
		if _, invalid := errors.AsType[*config.InvalidError](err); invalid {
			return "put these fields right; nothing was changed"
		}
		return cmd.CommandPath() + " --help"
	case exitDenied:
		return "run the command as root or as the service's user"
	}
	switch {
	case errors.Is(err, config.ErrNotInitialized):
		return "is --confdir right? a fresh host wants ktadmin init first; one whose disk was lost comes back as docs/runbook/restore-from-passive.md says, or, if both hosts are lost, docs/runbook/both-lost.md"
	case errors.Is(err, syscall.ENOSPC):
		return "make room on that disk, as docs/runbook/disk-full.md says; repeating the command is safe then"
	case errors.Is(err, context.Canceled):
		return "it was interrupted; repeating the command is safe"
	case exitStatus(err) == exitRefused:
		return "nothing was changed; ktadmin status shows how this host stands"
	}
	return "repeating the command is safe; ktadmin status shows how this host stands"
}

// explain writes the error and its hint, and returns the exit status.
func explain(w io.Writer, cmd *cobra.Command, err error) int {
	if err == nil {
		return exitOK
	}
	if child, ok := errors.AsType[*childError](err); ok {
		return child.status
	}
	fmt.Fprintf(w, "ktadmin: %v\nhint: %s\n", err, hint(cmd, err))
	return exitStatus(err)
}
