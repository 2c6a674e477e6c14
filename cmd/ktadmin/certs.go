package main

import (
	"fmt"
	"math"
	"time"

	"github.com/spf13/cobra"

	"keytrustee/host"
	"keytrustee/internal/config"
)

func newCertsCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "certs", Short: "This host's certificates: when they end, and new ones"}
	cmd.AddCommand(newCertsShowCommand(a), newCertsRenewCommand(a))
	return cmd
}

func newCertsShowCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "Show this host's certificates and when they end",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := a.load()
			if err != nil {
				return err
			}
			return a.showCertificates(c)
		},
	}
}

func newCertsRenewCommand(a *app) *cobra.Command {
	var authority bool
	var from string
	cmd := &cobra.Command{
		Use:   "renew",
		Short: "Renew this host's certificates, while it runs",
		Long: "renew gives this host certificates for five years, for the keys that it has. Nothing has to be restarted and nothing is disturbed: the\n" +
			"other host knows this one by its key. keytrusteed does the same by itself, 30 days before they end. A certificate for clients that is\n" +
			"not of the cluster's own authority is left as it is.\n\n" +
			"With --authority the certificate of the authority is renewed too, for twenty years. Its key and name stay, so that what it has signed\n" +
			"stays good. Then its file, ca.pem, has to come to the other host, --authority-from there, and to whoever believes it: the clients.",
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&authority, "authority", false, "renew the certificate of the cluster's authority first")
	cmd.Flags().StringVar(&from, "authority-from", "", "take the certificate of the authority from this file, the other host's ca.pem")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if authority && from != "" {
			return usagef("--authority and --authority-from exclude each other: it is renewed on one host")
		}
		o := host.RenewOptions{Authority: authority}
		if from != "" {
			text, err := readSecretFile("--authority-from", from) // as the user who called
			if err != nil {
				return err
			}
			o.Adopt = []byte(text)
		}
		c, err := a.load()
		if err != nil {
			return err
		}
		asked := map[string]any{"authority": authority}
		if from != "" {
			asked["authority_from"] = from
		}
		err = a.audited(c, "certs/renew", asked, func() (any, error) {
			h := hostOf(c)
			if err := h.RenewCertificates(cmd.Context(), o); err != nil {
				return nil, err
			}
			s, err := h.Status()
			ends := map[string]time.Time{}
			for _, c := range s.Certificates {
				ends[c.Name()] = c.Expires
			}
			return ends, err
		})
		if err != nil {
			return err
		}
		return a.showCertificates(c)
	}
	return cmd
}

func (a *app) showCertificates(c *config.Config) error {
	s, err := hostOf(c).Status()
	if err != nil {
		return err
	}
	var rows []row
	for _, c := range s.Certificates {
		days := math.Floor(time.Until(c.Expires).Hours() / 24)
		rows = append(rows, row{c.Name(), fmt.Sprintf("ends at %s, in %.0f days: %s", stamp(c.Expires), days, c.File)})
		if c.Foreign {
			rows = append(rows, row{"", "another authority than the cluster's has signed it: who has, renews it"})
		}
		if what, do := c.Trouble(time.Now()); what != "" {
			rows = append(rows, row{"", what + ": " + do})
		}
	}
	return a.result(s.Certificates, rows)
}
