package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"keytrustee/cmd/internal/auditlog"
	"keytrustee/internal/config"
	"keytrustee/internal/progress"
)

// app is what the commands share.
type app struct {
	confdir string
	format  string // of results: table or json
	user    string

	cmd *cobra.Command // the one that runs
	uid int            // who called, whomever this process becomes

	shown *progress.Display // nil: nothing has to be shown yet
	hide  func()            // ends it
}

// run runs one command line and returns the exit status. The result is on stdout, everything else on stderr.
func run(ctx context.Context, args []string) int {
	a := &app{uid: os.Getuid()}
	root := newRootCommand(a)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	a.close()
	return explain(os.Stderr, cmd, err)
}

func newRootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:           "ktadmin",
		Short:         "Administer a pair of key servers",
		Long:          "ktadmin administers an active/passive pair of key servers.\n\n" + exitStatuses(),
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			a.cmd = cmd
			if a.format != "table" && a.format != "json" {
				return usagef("-o: %q is neither table nor json", a.format)
			}
			return nil
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	flags := root.PersistentFlags()
	flags.StringVar(&a.confdir, "confdir", config.DefaultConfdir, "directory with the files that both hosts may share; its parent is the host's home")
	flags.StringVarP(&a.format, "output", "o", "table", "form of the result: table or json")
	flags.StringVar(&a.user, "user", "", "system user to become when run as root (default keytrustee, or as configured)")
	root.AddCommand(
		newInitCommand(a), newDBCommand(a), newJoinTokenCommand(a), newInitSlaveCommand(a), newRestoreCommand(a), newEnableCommand(a),
		newStatusCommand(a), newClusterCommand(a), newCertsCommand(a), newRootKeyCommand(a), newBackupCommand(a), newVersionCommand(a), newDevCommand(a),
	)
	strict(root)
	return root
}

// strict makes wrong arguments a usage error, and a command that only groups others say which there are.
func strict(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return &usageError{err}
			}
			return nil
		}
	}
	if !cmd.Runnable() {
		cmd.Args = cobra.ArbitraryArgs
		cmd.RunE = func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("%s has no command %q", c.CommandPath(), args[0])
			}
			return c.Help()
		}
	}
	for _, c := range cmd.Commands() {
		strict(c)
	}
}

// say tells the operator something that is no result.
func (a *app) say(format string, args ...any) {
	w := a.cmd.ErrOrStderr()
	if a.shown != nil {
		w = a.shown
	}
	fmt.Fprintf(w, format+"\n", args...)
}

// audited carries out do, a command that no daemon is asked for, and the audit log has it before and afterwards: see auditlog.Command.
func (a *app) audited(c *config.Config, command string, request any, do func() (result any, err error)) error {
	missing, err := auditlog.Command(c, a.uid, command, request, do)
	if missing != nil {
		a.say("note: %v", missing)
	}
	return err
}
