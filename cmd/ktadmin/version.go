package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

func newVersionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of ktadmin",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.format == "json" {
				return a.result(map[string]string{"version": version, "go": runtime.Version()}, nil)
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "ktadmin %s (%s)\n", version, runtime.Version())
			return err
		},
	}
}
