package host

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"keytrustee/postgres"
	"keytrustee/replication"
)

// DBService is how this host's PostgreSQL is run.
type DBService struct {
	Wait        bool // where it may not start yet, wait until it may
	Environment []string
	Signals     <-chan os.Signal // what this process is sent
	Say         func(format string, args ...any)
}

// NotYetError: PostgreSQL may not start on this host now, and nothing was changed.
type NotYetError struct {
	Err  error
	Ends bool // by itself: keytrusteed is in the middle of an operation and goes on with it
}

func (e *NotYetError) Error() string { return e.Err.Error() }

func (e *NotYetError) Unwrap() error { return e.Err }

// servePoll is how often a service that waits looks whether it may start.
const servePoll = 100 * time.Millisecond

// ServeDB runs this host's PostgreSQL as its child and returns the child's exit status when that has ended: 128 and the
// signal's number where a signal ended it. SIGINT and SIGTERM are its fast shutdown, SIGQUIT its immediate one, SIGHUP lets it
// read its settings again. A child that keytrusteed has stopped for an operation is started again, in the role that the state
// then says, when RunDB allows it. The child does not outlive this process: it ends at once then, as in a crash.
func (h *Host) ServeDB(ctx context.Context, s DBService) (status int, err error) {
	runtime.LockOSThread() // the child is told of the death of this thread, not of the process
	defer runtime.UnlockOSThread()
	said := ""
	for {
		child, err := h.startDB(ctx, s)
		notYet, ok := errors.AsType[*NotYetError](err)
		switch {
		case ok && (s.Wait || notYet.Ends):
			text := err.Error()
			if do := remedyOf(err); do != "" {
				text += "; hint: " + do
			}
			if text != said {
				said = text
				s.Say("waiting to start PostgreSQL: %s", text)
			}
			if !s.pause() {
				return 0, nil
			}
			continue
		case err != nil:
			return 0, err
		}
		said = ""
		status, told := child.await(s.Signals)
		if told || !h.stoppedForOperation(child.start) {
			return status, nil
		}
		s.Say("keytrusteed has stopped PostgreSQL for an operation")
	}
}

// remedyOf is what err says to do about it; empty if it does not.
func remedyOf(err error) string {
	if h, ok := errors.AsType[*HintedError](err); ok {
		return h.Hint
	}
	if s, ok := errors.AsType[*postgres.SetupError](err); ok {
		return s.Remedy
	}
	return ""
}

// pause waits for a moment; false when this process is to end.
func (s DBService) pause() bool {
	select {
	case signal := <-s.Signals:
		return signal == syscall.SIGHUP
	case <-time.After(servePoll):
		return true
	}
}

// dbChild is a PostgreSQL that runs.
type dbChild struct {
	cmd   *exec.Cmd
	start string // its life, as package replication names it
}

// startDB starts PostgreSQL, or says why not. The lock that keeps another one off is the child's too.
func (h *Host) startDB(ctx context.Context, s DBService) (*dbChild, error) {
	if _, err := h.mayRunDB(); err != nil { // before the lock, which an operation may want
		return nil, err
	}
	lock, err := h.lockDB(ctx)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	path, argv, err := h.RunDB(ctx)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, argv[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = s.Environment, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{lock}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT, Setpgid: true} // a terminal's signals come through this process
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	start, err := replication.StartID(cmd.Process.Pid)
	if err != nil {
		cmd.Process.Signal(syscall.SIGQUIT)
		cmd.Wait()
		return nil, err
	}
	return &dbChild{cmd, start}, nil
}

// await passes signals on until the child has ended. told: one of them was to end it.
func (c *dbChild) await(signals <-chan os.Signal) (status int, told bool) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.cmd.Wait() // ProcessState says how
	}()
	for {
		select {
		case <-ended:
			state := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
			if state.Signaled() {
				return 128 + int(state.Signal()), told
			}
			return state.ExitStatus(), told
		case signal := <-signals:
			if signal == syscall.SIGTERM {
				signal = syscall.SIGINT // PostgreSQL's SIGTERM waits for its clients, for ever
			}
			told = told || signal != syscall.SIGHUP
			c.cmd.Process.Signal(signal) // it may have ended
		}
	}
}

// stoppedForOperation reports whether the daemon has ended that life of PostgreSQL and wants it started again.
func (h *Host) stoppedForOperation(start string) bool {
	state, err := replication.OpenState(h.StateFile())
	return err == nil && state.Current().Stopped == start
}
