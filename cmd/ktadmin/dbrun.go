package main

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"keytrustee/host"
)

func newDBRunCommand(a *app) *cobra.Command {
	var pgRoot string
	var wait bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run this host's PostgreSQL: what the service keytrustee-db executes",
		Long: "run checks that this host's PostgreSQL may start, closes it to everybody but the administrator, and runs it in the foreground.\n" +
			"SIGINT and SIGTERM stop it fast, SIGHUP lets it read its settings again; the exit status is PostgreSQL's. Where keytrusteed has\n" +
			"stopped it for an operation, such as a switchover, it is started again in its new role.\n" +
			"Besides its flags it reads those in the environment variable ARGS, which /etc/sysconfig/keytrustee-db sets.",
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&pgRoot, "pg-rootdir", "", "the data directory (default as configured)")
	cmd.Flags().BoolVar(&wait, "wait", false, "where it may not start yet (this host is fenced, or is joining), wait until it may")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		signals := make(chan os.Signal, 8)
		signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP)
		defer signal.Stop(signals)
		if err := parseArgs(cmd.Flags(), os.Getenv("ARGS")); err != nil {
			return err
		}
		c, err := a.load()
		if err != nil {
			return err
		}
		if err := absolute(&pgRoot); err != nil {
			return err
		}
		override(&c.PGRootDir, pgRoot)
		status, err := hostOf(c).ServeDB(cmd.Context(), host.DBService{
			Wait: wait, Signals: signals, Say: a.say,
			// What comes from here on is PostgreSQL's, which leaves nothing of our environment to heed.
			Environment: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.Home(), "LC_ALL=C", "TZ=UTC"},
		})
		if err == nil && status != 0 {
			return &endedError{status}
		}
		return err
	}
	return cmd
}

// endedError: PostgreSQL has ended, with that status.
type endedError struct{ status int }

func (e *endedError) Error() string { return fmt.Sprintf("PostgreSQL ended with status %d", e.status) }
func (e *endedError) Hint() string {
	return "the lines above, or its log, say why; start it again: service keytrustee-db start"
}

// parseArgs reads more flags from text, such as `--pg-rootdir /path/to/db`; a flag of the command line wins.
func parseArgs(flags *pflag.FlagSet, text string) error {
	given := map[string]string{}
	flags.Visit(func(f *pflag.Flag) { given[f.Name] = f.Value.String() })
	if err := flags.Parse(strings.Fields(strings.Trim(text, `"`))); err != nil {
		return usagef("ARGS: %w", err)
	}
	if flags.NArg() > 0 {
		return usagef("ARGS: %q is no flag", flags.Arg(0))
	}
	for name, value := range given {
		if err := flags.Set(name, value); err != nil {
			return err
		}
	}
	return nil
}
