package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"keytrustee/host"
	"keytrustee/internal/config"
	"keytrustee/internal/durable"
)

func newJoinTokenCommand(a *app) *cobra.Command {
	var (
		q   host.TokenRequest
		out string
	)
	cmd := &cobra.Command{
		Use:   "join-token",
		Short: "Make a token with which one host can join the pair",
		Long: "On the active the token is for a passive: ktadmin init-slave. On a passive whose active is destroyed it is for that active's host, and\n" +
			"refused while the active answers: ktadmin restore. The token is a secret, good for one host, once.",
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&q.Replace, "replace", false, "let the host that joins take the place of a passive that is there; also where this host's copy could not be compared\nwith that one's, or is the older one: then what only the other acknowledged is lost")
	cmd.Flags().DurationVar(&q.Life, "ttl", host.TokenLife, "how long it may be used")
	cmd.Flags().StringVar(&out, "out", "", "write the token to this file, which must not exist, instead of printing it")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if q.Life < time.Minute || q.Life > 7*24*time.Hour {
			return usagef("--ttl: %v is not between 1m and 168h", q.Life)
		}
		c, err := config.Load(a.confdir)
		if err != nil {
			return err
		}
		if _, err := a.serviceUser(c); err != nil { // root stays root: the file may lie where only root may write
			return err
		}
		write, drop, err := reserve(out)
		if err != nil {
			return err
		}
		token, err := adminOf(c).NewToken(cmd.Context(), q)
		if err != nil {
			drop()
			return err
		}
		use := "ktadmin init-slave --master " + c.ExternalAddress + " --token-file FILE on a new host; on one that was of the pair, with --reclone and its services stopped"
		if token.Restores {
			use = "ktadmin restore --from-survivor " + c.ExternalAddress + " --token-file FILE, on the host of the active that is gone"
		}
		a.say("The token is good until %s, for one host, once: %s", stamp(token.Expires), use)
		switch {
		case out != "":
			return write(token.Token + "\n")
		case a.format == "json":
			return a.result(token, nil)
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), token.Token)
		return err
	}
	return cmd
}

// reserve makes the file, so that nothing is asked for that could not be written then.
func reserve(path string) (write func(string) error, drop func(), err error) {
	if path == "" {
		return nil, func() {}, nil
	}
	if err := durable.CreateFile(path, nil, 0o600); err != nil {
		return nil, nil, fmt.Errorf("--out: %w", err)
	}
	return func(text string) error { return durable.WriteFile(path, []byte(text), 0o600) }, func() { os.Remove(path) }, nil
}
