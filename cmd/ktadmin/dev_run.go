package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// newDevRunCommand returns `ktadmin dev run`: what an operator types on a host of the pair, also on one whose disk was wiped.
func newDevRunCommand(dir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "run active|passive --dir DIR -- COMMAND...",
		Short: "Run another command on a host, with its settings and as its user",
		Long: "run runs another of these commands as it would be typed on that host. A host whose directory was removed is a bare one, with the name, the\n" +
			"address and the ports that it had.",
		Example: "ktadmin dev run active --dir DIR -- restore --from-survivor 127.0.0.2 --token-file FILE",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withDevPair(*dir, func(p *devPair) error {
				n, err := p.node(args[0])
				if err != nil {
					return err
				}
				if err := errors.Join(p.makeSockets(), n.makeDirectories()); err != nil {
					return err
				}
				return n.attach(cmd.Context(), args[1:])
			})
		},
	}
}

// attach runs a production command for the node, with this process's input and outputs.
func (n *devNode) attach(ctx context.Context, args []string) error {
	cmd := exec.CommandContext(ctx, n.pair.bin("ktadmin"), append(args, "--confdir", n.confdir())...)
	cmd.Dir, cmd.Env = "/", n.environment()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = n.pair.attributes()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		return &childError{exit.ExitCode()}
	}
	return err
}

// childError is a command that has said itself why it failed.
type childError struct{ status int }

func (e *childError) Error() string { return fmt.Sprintf("the command ended with %d", e.status) }
