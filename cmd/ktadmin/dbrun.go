package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newDBRunCommand(a *app) *cobra.Command {
	var pgRoot string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Become this host's PostgreSQL: what the service keytrustee-db executes",
		Long: "run checks that this host's PostgreSQL may start, closes it to everybody but the administrator, and turns into it.\n" +
			"Besides its flags it reads those in the environment variable ARGS, which /etc/sysconfig/keytrustee-db sets.",
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&pgRoot, "pg-rootdir", "", "the data directory (default as configured)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
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
		path, argv, err := hostOf(c).RunDB(cmd.Context())
		if err != nil {
			return err
		}
		// What comes from here on is PostgreSQL's, which leaves nothing of our environment to heed.
		if err := syscall.Exec(path, argv, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.Home(), "LC_ALL=C", "TZ=UTC"}); err != nil {
			return fmt.Errorf("executing %s: %w", path, err)
		}
		return nil
	}
	return cmd
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
