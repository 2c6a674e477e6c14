package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"keytrustee/host"
	"keytrustee/internal/spare"
	"keytrustee/postgres"
)

// backupChild is ktadmin backup create, as a process that yields to everybody else.
type backupChild struct {
	program string // ktadmin
	args    []string
	log     *slog.Logger
}

// newBackupChild runs the ktadmin that lies beside this program.
func newBackupChild(confdir string, log *slog.Logger) (c backupChild, err error) {
	self, err := os.Executable()
	if err != nil {
		return c, err
	}
	user, err := postgres.CurrentOSUser()
	if err != nil {
		return c, err
	}
	return backupChild{filepath.Join(filepath.Dir(self), "ktadmin"), []string{"backup", "create", "--confdir", confdir, "--user", user.Name}, log}, nil
}

// Run makes a backup. It ends when ctx does, with the process; so does the process when this one is killed. An error says in the words of
// ktadmin why there is no backup.
func (c backupChild) Run(ctx context.Context) error {
	return spare.Do(func() error { return c.run(ctx) })
}

func (c backupChild) run(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, c.program, c.args...)
	said := &lines{log: c.log}
	cmd.Stderr = said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setsid: true} // in this one's session it would have a share of its processor time
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = backupPatience
	err := cmd.Run()
	if _, failed := errors.AsType[*exec.ExitError](err); failed && said.problem != "" {
		return &host.HintedError{Err: fmt.Errorf("%s", said.problem), Hint: said.hint}
	}
	return err
}

// lines logs what ktadmin says, and keeps its last word.
type lines struct {
	log           *slog.Logger
	rest          []byte
	problem, hint string
}

const maxLine = 4096

func (l *lines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		line, rest, whole := bytes.Cut(l.rest, []byte("\n"))
		if !whole && len(l.rest) < maxLine {
			return len(p), nil
		}
		l.rest = rest
		l.line(string(line))
	}
}

func (l *lines) line(text string) {
	if problem, ok := strings.CutPrefix(text, "ktadmin: "); ok {
		l.problem, l.hint = problem, ""
	} else if hint, ok := strings.CutPrefix(text, "hint: "); ok {
		l.hint = hint
	} else if l.problem != "" && l.hint == "" {
		l.problem += " " + strings.TrimSpace(text)
	}
	l.log.Info("ktadmin backup create", "says", text)
}
