package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"keytrustee/internal/release"
)

func newVersionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of ktadmin",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.format == "json" {
				return a.result(map[string]string{"version": release.Version, "go": runtime.Version()}, nil)
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "ktadmin %s (%s)\n", release.Version, runtime.Version())
			return err
		},
	}
}
