package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"
)

// Mode is how to stop a server.
type Mode unix.Signal

// Fast ends every session and writes a checkpoint; sessions that wait for the standby are ended too, and their rows
// become visible at the next start. Immediate ends everything at once, and the next start recovers.
const (
	Fast      = Mode(unix.SIGINT)
	Immediate = Mode(unix.SIGQUIT)
)

// pollEvery is how often a condition is looked at that nobody announces.
const pollEvery = 20 * time.Millisecond

// Start runs the server in a session of its own, so that it survives this process, and returns when it accepts
// connections, which a standby does when its data is consistent. It runs then, or ran before. After an error it does not
// run; the error holds the last lines of Log, or is a *SetupError and nothing was changed. This process's user must be
// one of Admins.
func (s *Server) Start(ctx context.Context) error {
	if _, running := s.Pid(); running {
		return s.awaitAccepting(ctx, nil)
	}
	if err := s.Prepare(ctx); err != nil {
		return err
	}
	log, err := os.OpenFile(s.Log, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	defer log.Close()
	if err := s.RunAs.own(s.Log); err != nil {
		return err
	}
	info, err := log.Stat()
	if err != nil {
		return err
	}
	path, argv := s.Argv()
	cmd := s.RunAs.command(context.WithoutCancel(ctx), path, argv[1:]...)
	cmd.Dir = s.Data // from its first moment on it is one of the server's processes
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting PostgreSQL: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cmd.Wait() // how it ended, its log says
	}()
	if err := s.awaitAccepting(ctx, ended); err != nil {
		cmd.Process.Signal(unix.SIGQUIT) // it may have ended
		<-ended
		return fmt.Errorf("starting PostgreSQL in %s: %w; its log ends: %s", s.Data, err, s.logTail(info.Size()))
	}
	return nil
}

var errEnded = errors.New("it ended")

// awaitAccepting returns nil when a connection succeeds. ended, if it is not nil, is closed when the server ends.
func (s *Server) awaitAccepting(ctx context.Context, ended <-chan struct{}) error {
	for {
		err := s.tryConnect(ctx)
		if err == nil {
			return nil
		}
		if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code != "57P03" { // cannot_connect_now
			return err
		}
		select {
		case <-ended:
			return errEnded
		case <-ctx.Done():
			return fmt.Errorf("it accepts no connections yet: %w", context.Cause(ctx))
		case <-time.After(pollEvery):
		}
	}
}

func (s *Server) tryConnect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.ConnString("postgres"))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// logTail is the end of what was appended to Log since it had that size.
func (s *Server) logTail(size int64) string {
	content, err := os.ReadFile(s.Log)
	if err != nil || int64(len(content)) < size {
		return "(unreadable)"
	}
	return lastLines(string(content[size:]), 6)
}

// Stop ends the server and returns when its process is gone. That it does not run is no error.
func (s *Server) Stop(ctx context.Context, mode Mode) error {
	process, err := s.signal(unix.Signal(mode))
	if process == nil || err != nil {
		return err
	}
	for s.owns(process.Pid) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("stopping PostgreSQL in %s: process %d still runs: %w", s.Data, process.Pid, context.Cause(ctx))
		case <-time.After(pollEvery):
		}
	}
	return nil
}

// End ends the server at once, and returns when no process of it is left: also one that was only begun when its parent was killed, which does
// not say yet that it is the server, and those whose postmaster was killed.
func (s *Server) End(ctx context.Context) error {
	return s.awaitNone(ctx, func() error { return s.Stop(ctx, Immediate) })
}

// Reload makes the server read its files of Conf again, and returns when it has: connections begun from then on see what
// they say, standing ones soon. An error if the server does not run.
func (s *Server) Reload(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	before := time.Now()
	process, err := s.signal(unix.SIGHUP)
	if err != nil {
		return err
	}
	if process == nil {
		return fmt.Errorf("reloading PostgreSQL in %s: it does not run", s.Data)
	}
	for {
		reloaded, err := s.reloadedSince(ctx, before)
		if reloaded {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("reloading PostgreSQL in %s: %w", s.Data, errors.Join(context.Cause(ctx), err))
		case <-time.After(pollEvery):
		}
	}
}

func (s *Server) reloadedSince(ctx context.Context, t time.Time) (reloaded bool, err error) {
	conn, err := pgx.Connect(ctx, s.ConnString("postgres"))
	if err != nil {
		return false, err
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, `SELECT pg_conf_load_time() >= $1`, t.Truncate(time.Microsecond)).Scan(&reloaded)
	return reloaded, err
}

// signal sends the signal to the server's process, which it returns; nil if it does not run.
func (s *Server) signal(sig unix.Signal) (*os.Process, error) {
	pid, running := s.Pid()
	if !running {
		return nil, nil
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		return nil, err
	}
	// From here on process is that one and no other; the number may have been another's when it was looked up.
	if !s.owns(pid) {
		return nil, nil
	}
	if err := process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return nil, fmt.Errorf("signalling PostgreSQL in %s: %w", s.Data, err)
	}
	return process, nil
}
