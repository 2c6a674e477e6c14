package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"keytrustee/host"
	"keytrustee/replication"
)

func newStatusCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Say how this host and the pair are",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.load()
			if err != nil {
				return err
			}
			s, err := adminOf(c).Status(cmd.Context())
			if errors.Is(err, host.ErrDaemonDown) { // its files still tell
				s, err = hostOf(c).Status()
			}
			if err != nil {
				return err
			}
			return a.result(s, statusRows(s))
		},
	}
}

func statusRows(s host.Status) []row {
	rows := []row{{"node", s.Name}, {"address", s.Address}, {"cluster", s.Cluster}}
	add := func(name, format string, args ...any) { rows = append(rows, row{name, fmt.Sprintf(format, args...)}) }
	if s.State == nil {
		add("duty", "none: this host is of no pair yet")
	} else {
		add("duty", "%s", s.State.Duty)
		add("epoch", "%s", s.State.Epoch)
		if p := s.State.Peer; p != nil {
			add("peer", "%s at %s", p.Name, p.Address)
		} else {
			add("peer", "none")
		}
	}
	switch r := s.Report; {
	case r == nil:
		add("keytrusteed", "does not run")
	case r.Open:
		add("writes", "open since %s", stamp(r.Since))
	case r.Duty == replication.Passive && r.Reason == "":
		add("writes", "at the active")
	default:
		add("writes", "closed: %s, since %s", r.Reason, stamp(r.Since))
		add("", "%s", r.Sentence)
	}
	if r := s.Report; r != nil && s.State != nil && s.State.Peer != nil {
		add("peer answers", "%s", yesNo(r.PeerAnswers))
	}
	switch {
	case !s.Recovery.Made:
		add("recovery key", "MISSING: if both hosts are lost, every key is. ktadmin init --recovery-key-out FILE makes it")
	case s.Recovery.Confirmed == nil:
		add("recovery key", "NOT CONFIRMED: ktadmin root-key confirm-recovery proves that somebody keeps %s", s.Recovery.Fingerprint)
	default:
		add("recovery key", "confirmed at %s", stamp(*s.Recovery.Confirmed))
	}
	if s.Journal != nil {
		add("unfinished", "%s, begun at %s, stopped at %q", s.Journal.Operation, stamp(s.Journal.Since), s.Journal.Step)
	}
	for _, c := range s.Certificates {
		if left := time.Until(c.Expires); left < 30*24*time.Hour {
			add("certificate", "%s expires at %s", c.File, stamp(c.Expires))
		}
	}
	return rows
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
