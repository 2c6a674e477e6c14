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
		Short: "Say whether writes are safe now, and how this host and the pair are",
		Long: "status says first whether writes are taken, since when, and if not why and what to do; then what is read at this host.\n" +
			"It ends with 0 when keytrusteed has answered, whatever it said, and on a host of no pair: scripts look at report.open with -o json.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.load()
			if err != nil {
				return err
			}
			s, down := adminOf(c).Status(cmd.Context())
			if errors.Is(down, host.ErrDaemonDown) || errors.Is(down, host.ErrDaemonStuck) { // its files still tell
				s, err = hostOf(c).Status()
			} else if down != nil {
				return down
			}
			if err != nil {
				return err
			}
			rows := append(append(statusRows(s, down), dataRows(s)...), backupRows(a.backupsFor(c, s), time.Now())...)
			if err := a.result(s, rows); err != nil {
				return err
			}
			return statusError(s, down)
		},
	}
}

// statusError is what status ends with when it has shown s.
func statusError(s host.Status, down error) error {
	what, do, unended := s.Journal.Unended()
	switch {
	case down != nil && unended:
		return &host.HintedError{Err: fmt.Errorf("%s, and %w", what, down), Hint: do}
	case s.State == nil: // of no pair, it need not run
		return nil
	case down != nil && s.State.Fenced != nil:
		return &host.HintedError{Err: down, Hint: "start nothing yet. " + s.State.FenceRemedy()}
	}
	return down
}

// statusRows is s for people. down is why the daemon did not answer.
func statusRows(s host.Status, down error) []row {
	rows := append(writeRows(s, down), readRows(s)...)
	add := func(name, format string, args ...any) { rows = append(rows, row{name, fmt.Sprintf(format, args...)}) }
	for _, c := range s.Certificates {
		if what, do := c.Trouble(time.Now()); what != "" {
			add("certificate", "%s: %s", what, do)
		}
	}
	add("node", "%s", s.Name)
	add("address", "%s", s.Address)
	add("cluster", "%s", s.Cluster)
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
		if p := s.State.Pending; p != nil {
			add("joining", "%s at %s, in epoch %s once its services run", p.Peer.Name, p.Peer.Address, p.Epoch)
			if r := s.Report; r != nil && r.PendingTrouble != "" {
				add("", "it waits: %s", r.PendingTrouble)
			}
		}
	}
	if r := s.Report; r != nil && s.State != nil && s.State.Peer != nil {
		add("peer answers", "%s", yesNo(r.PeerAnswers))
	}
	switch {
	case !s.Recovery.Made:
		add("recovery key", "MISSING: if both hosts are lost, every key is. ktadmin init --recovery-key-out FILE makes it")
	case s.Recovery.Confirmed != nil:
		add("recovery key", "confirmed at %s", stamp(*s.Recovery.Confirmed))
	case s.State != nil && s.State.Duty == replication.Passive:
		add("recovery key", "not confirmed on this host; the active's status counts")
	default:
		add("recovery key", "NOT CONFIRMED: ktadmin root-key confirm-recovery proves that somebody keeps %s", s.Recovery.Fingerprint)
	}
	if s.Recovery.Made && !s.Recovery.Backups && s.State != nil {
		add("", "%s", "this host has not seen it, so its backups show not who made them: ktadmin root-key confirm-recovery on the active, or here, once")
	}
	if s.Journal != nil {
		add("unfinished", "%s, begun at %s, stopped at %q", s.Journal.Operation, stamp(s.Journal.Since), s.Journal.Step)
		if _, do, unended := s.Journal.Unended(); unended && s.Report != nil { // otherwise the first rows have said it
			add("", "%s", do)
		} else if do := s.Journal.Completes(); do != "" {
			add("", "%s", do)
		}
	}
	return rows
}

// writeRows says whether writes are taken, since when, and if not why.
func writeRows(s host.Status, down error) []row {
	one := func(format string, args ...any) []row { return []row{{"writes", fmt.Sprintf(format, args...)}} }
	r := s.Report
	what, do, unended := s.Journal.Unended()
	switch {
	case r == nil && unended: // before its end nothing else is to be done
		return append(one("CLOSED: %s, and %v", what, down), row{"", do})
	case s.State == nil:
		return append(one("CLOSED: this host is of no pair yet"), row{"", host.NoPairRemedy})
	case r == nil && s.State.Fenced != nil:
		f := s.State.Fenced
		return append(one("CLOSED since %s: this host is fenced, and %v", stamp(f.Since), down),
			row{"", fmt.Sprintf("%s: %s. Start nothing yet. %s", f.Reason, f.Detail, s.State.FenceRemedy())})
	case r == nil:
		return one("CLOSED: %v", down)
	case r.Open:
		return one("open since %s", stamp(r.Since))
	}
	if g := r.ActiveGate; r.Duty == replication.Passive && (r.Reason == "" || r.Reason == replication.Starting) && r.PeerAnswers && g != nil {
		if g.Open {
			return one("open at the active (%s) since %s", r.PeerName, stamp(g.Since))
		}
		return append(one("CLOSED at the active (%s) since %s: %s", r.PeerName, stamp(g.Since), g.Reason), row{"", g.Sentence})
	}
	switch {
	case r.Reason == "" && !r.PeerAnswers && !r.PeerHeard.IsZero():
		what, do := host.SilentActive(*r)
		return append(one("CLOSED since %s: %s", stamp(r.PeerHeard), replication.ActiveUnreachable), row{"", what + ". " + do})
	case r.Reason == "":
		return one("at the active (%s), which has not said yet how its gate stands", r.PeerName)
	case r.Duty == replication.Active && r.Since.Sub(r.Turned) > time.Second:
		return append(one("CLOSED since %s: now %s, since %s", stamp(r.Turned), r.Reason, stamp(r.Since)), row{"", r.Sentence})
	}
	return append(one("CLOSED since %s: %s", stamp(r.Since), r.Reason), row{"", r.Sentence})
}

// readRows says what is read at this host.
func readRows(s host.Status) []row {
	if s.Report == nil {
		return nil
	}
	var value string
	switch reads := s.Report.Reads; reads.Served {
	case replication.Everything:
		return []row{{"reads", "served"}}
	case replication.Known:
		value = "known keys are served; lists and unknown names are not"
	default:
		value = "REFUSED at this host"
	}
	if r := s.Report; r.Reads.Reason == r.Reason && r.Duty == replication.Active { // said above
		return []row{{"reads", value}}
	}
	return []row{{"reads", value}, {"", s.Report.Reads.Sentence}}
}

// dataRows says that this host's data is damaged, if its PostgreSQL has met that.
func dataRows(s host.Status) []row {
	if s.Report == nil {
		return nil
	}
	what, do := host.DataTrouble(*s.Report)
	if what == "" {
		return nil
	}
	return []row{{"data", "NOT IN ORDER: " + what}, {"", do}}
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
