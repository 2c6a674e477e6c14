package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"keytrustee/host"
	"keytrustee/postgres"
)

// The components of a node, in the order in which they are started.
const (
	devPostgres    = "postgres"
	devKeytrusteed = "keytrusteed"
)

var devComponents = []string{devPostgres, devKeytrusteed}

// devPoll is how often a condition is looked at that nobody announces.
const devPoll = 20 * time.Millisecond

func (n *devNode) argv(component string) []string {
	if component == devPostgres {
		return []string{n.pair.bin("ktadmin"), "db", "run", "--confdir", n.confdir()}
	}
	return []string{n.pair.bin("keytrusteed"), "--confdir", n.confdir()}
}

func (n *devNode) server() *postgres.Server {
	return &postgres.Server{Data: n.data(), Socket: n.sockets(), Port: n.pair.DBPort}
}

func (n *devNode) log(component string) string {
	return filepath.Join(n.home(), "log", component+".out")
}

// launch starts the component in the background, in a session of its own, unless it runs. The channel is closed when it ends.
func (n *devNode) launch(component string) (ended <-chan struct{}, err error) {
	if len(n.processes(component)) > 0 {
		return nil, nil
	}
	const launch = `umask 077 && exec "$@" >>"$0" 2>&1` // the user opens his log himself
	cmd := exec.Command("/bin/sh", append([]string{"-c", launch, n.log(component)}, n.argv(component)...)...)
	cmd.Dir, cmd.Env = "/", n.environment()
	cmd.SysProcAttr = n.pair.attributes()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s on %s: %w", component, n.Name, err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		cmd.Wait() // how it ended, its log says
	}()
	return done, nil
}

func (p *devPair) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setsid: true}
	if p.user.UID != os.Geteuid() {
		attr.Credential = &syscall.Credential{Uid: uint32(p.user.UID), Gid: uint32(p.user.GID)}
	}
	return attr
}

// run runs a production command for the node to its end, as the user that the pair runs as, and returns its standard output.
// The environment may add to the node's own.
func (n *devNode) run(ctx context.Context, extra []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, n.pair.bin("ktadmin"), append(args, "--confdir", n.confdir())...)
	cmd.Dir, cmd.Env = "/", append(n.environment(), extra...)
	cmd.SysProcAttr = n.pair.attributes()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		said, hint, _ := strings.Cut(strings.TrimSpace(string(exit.Stderr)), "\nhint: ")
		return "", &host.HintedError{Err: fmt.Errorf("on the %s: %s", n.Name, said), Hint: hint}
	}
	return string(out), err
}

// processes returns every process of the component, first the one that its service would signal, or, where PostgreSQL has outlived
// that, the one that leads it.
func (n *devNode) processes(component string) []int {
	var first, pids []int
	command := strings.Join(n.argv(component), "\x00") + "\x00"
	lead, _ := n.server().Pid()
	entries, _ := filepath.Glob("/proc/[0-9]*")
	for _, proc := range entries {
		pid, err := strconv.Atoi(filepath.Base(proc))
		if err != nil {
			continue
		}
		line, _ := os.ReadFile(filepath.Join(proc, "cmdline"))
		switch {
		case string(line) == command:
			first = append([]int{pid}, first...)
		case component != devPostgres || !n.isPostgres(proc):
		case pid == lead:
			first = append(first, pid)
		default:
			pids = append(pids, pid)
		}
	}
	return append(first, pids...)
}

// isPostgres reports whether the process is one of the node's PostgreSQL: all of them work in its data directory.
func (n *devNode) isPostgres(proc string) bool {
	program, _ := os.Readlink(filepath.Join(proc, "exe"))
	dir, _ := os.Readlink(filepath.Join(proc, "cwd"))
	return filepath.Base(program) == "postgres" && dir == n.data()
}

// pids returns the process that leads each component that runs: of PostgreSQL its own, not the one that started it.
func (n *devNode) pids() map[string]int {
	pids := map[string]int{}
	if pid, running := n.server().Pid(); running {
		pids[devPostgres] = pid
	}
	if all := n.processes(devKeytrusteed); len(all) > 0 {
		pids[devKeytrusteed] = all[0]
	}
	return pids
}

// runs reports whether any process of the node does.
func (n *devNode) runs() bool {
	return len(n.processes(devPostgres))+len(n.processes(devKeytrusteed)) > 0
}

// stop asks the components to end, as their services do, and waits until they have: what uses the database goes first.
func (n *devNode) stop(ctx context.Context, components []string) error {
	for _, component := range slices.Backward(components) {
		pids := n.processes(component)
		if len(pids) == 0 {
			continue
		}
		signal := syscall.SIGTERM
		if component == devPostgres {
			signal = syscall.SIGINT // fast; SIGTERM would wait for clients for ever
		}
		if err := n.signal(component, pids[:1], signal); err != nil {
			return err
		}
		if err := n.signal(component, pids, syscall.SIGCONT); err != nil { // a frozen one has to wake up to end
			return err
		}
		if err := n.awaitEnd(ctx, component); err != nil {
			return err
		}
	}
	return nil
}

// kill ends every process of the components with SIGKILL, none of them outliving another long enough to act on it.
func (n *devNode) kill(ctx context.Context, components []string) error {
	for _, signal := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} {
		for _, component := range components {
			if err := n.signal(component, n.processes(component), signal); err != nil {
				return err
			}
		}
	}
	for _, component := range components {
		if err := n.awaitEnd(ctx, component); err != nil {
			return err
		}
	}
	return nil
}

// signal sends the signal to the processes; that one is gone is no error.
func (n *devNode) signal(component string, pids []int, signal syscall.Signal) error {
	for _, pid := range pids {
		if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("sending %v to %s on %s: %w", signal, component, n.Name, err)
		}
	}
	return nil
}

func (n *devNode) awaitEnd(ctx context.Context, component string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		pids := n.processes(component)
		if len(pids) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s on %s still runs as process %d", component, n.Name, pids[0])
		case <-time.After(devPoll):
		}
	}
}

// tail returns the last lines of a component's log.
func (n *devNode) tail(component string) string {
	data, err := n.pair.read(n.log(component))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(lines[max(0, len(lines)-8):], "\n")
}
