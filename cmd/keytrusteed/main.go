// Command keytrusteed is the key server: it serves clients, talks to the peer's keytrusteed, and watches the replication
// of this host's PostgreSQL, which runs beside it as a service of its own.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"keytrustee/internal/config"
	"keytrustee/internal/release"
)

func main() {
	var o options
	command := &cobra.Command{
		Use:           "keytrusteed",
		Short:         "The key server of this host",
		Version:       release.Version,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return again(run(cmd.Context(), o)) },
	}
	command.Flags().StringVar(&o.confdir, "confdir", config.DefaultConfdir, "configuration directory")
	command.Flags().StringVar(&o.logFormat, "log-format", "text", "text or json")
	command.Flags().StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := command.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, explain(err))
		os.Exit(1)
	}
}
