package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"keytrustee/certs"
	"keytrustee/host"
	"keytrustee/replication"
	"keytrustee/replication/peer"
)

func newSummaryCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "summary",
		Short: "Say whether writes are safe now, and how both hosts are",
		Long: "summary runs on either host, also when the other one, or this host's own keytrusteed, is down: then it says what is unknown, since when, and\n" +
			"what was last known. Its first line says whether writes are taken now, since when, and if not why and what to do. docs/cluster.md explains\n" +
			"every field. It ends with 0 while writes are open; otherwise with a status of its own, see ktadmin --help.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.viewed(cmd.Context(), func(c host.Cluster) (any, string) { return c, summaryText(c) })
		},
	}
}

// viewed shows the pair, and returns an error unless writes are open.
func (a *app) viewed(ctx context.Context, show func(host.Cluster) (v any, text string)) error {
	c, err := a.view(ctx)
	if err != nil {
		return err
	}
	v, text := show(c)
	if a.format == "json" {
		err = a.result(v, nil)
	} else {
		_, err = fmt.Fprint(a.cmd.OutOrStdout(), text)
	}
	if err != nil || c.Writes.State == host.WritesOpen {
		return err
	}
	return &closedError{c}
}

// view is the pair by the daemon's word, or, when that does not answer, by the files of this host and the word of the other.
func (a *app) view(ctx context.Context) (host.Cluster, error) {
	c, err := a.load()
	if err != nil {
		return host.Cluster{}, err
	}
	v, down := adminOf(c).View(ctx)
	if !errors.Is(down, host.ErrDaemonDown) && !errors.Is(down, host.ErrDaemonStuck) {
		return v, down
	}
	h := hostOf(c)
	s := host.Sight{Down: down.Error(), Stuck: errors.Is(down, host.ErrDaemonStuck)}
	if s.Status, err = h.Status(); err != nil {
		return host.Cluster{}, err
	}
	s.Ask(ctx, func(ctx context.Context) (replication.Report, error) {
		own, err := certs.NewReloader(h.ClusterFiles(), slog.New(slog.DiscardHandler))
		if err != nil {
			return replication.Report{}, err
		}
		client := peer.NewClient(func(node string) *tls.Config { return own.ClusterClient(func() string { return node }) })
		defer client.Close()
		return client.Report(ctx, *s.Status.State.Peer)
	})
	s.At = time.Now()
	return host.View(s), nil
}

// closedError: writes are not open. Its exit status says how bad that is.
type closedError struct{ cluster host.Cluster }

func (e *closedError) Error() string {
	w := e.cluster.Writes
	if w.Why == "" {
		return "writes are refused: " + w.What
	}
	return "writes are refused: " + string(w.Why)
}

func (e *closedError) Hint() string { return e.cluster.Writes.Do }

// status is a row of the table of exit statuses.
func (e *closedError) status() int {
	switch e.cluster.Writes.Why {
	case replication.Fenced, replication.EpochConflict, replication.HistoryDiffers, replication.PassiveAhead, replication.IdentityMismatch:
		return exitConflict
	}
	for _, n := range e.cluster.Nodes {
		if n.Status.Code == "f" {
			return exitConflict
		}
	}
	if e.cluster.Writes.Reads {
		return exitReadOnly
	}
	return exitNoService
}

// writesLine says whether writes are taken, since when, and if not why and what to do.
func writesLine(w host.Writes) string {
	var b strings.Builder
	b.WriteString("WRITES open")
	if w.State != host.WritesOpen {
		b.Reset()
		b.WriteString("WRITES REFUSED")
	}
	if w.Host != "" {
		b.WriteString(" at " + w.Host)
	}
	if w.Since != nil {
		fmt.Fprintf(&b, " since %s, for %s", stamp(*w.Since), span(w.For))
	} else if w.Host != "" {
		b.WriteString(", since when is not known")
	}
	if w.State != host.WritesOpen {
		if w.Why != "" {
			b.WriteString(": " + string(w.Why))
		}
		b.WriteString(": " + strings.TrimSuffix(w.What, ".") + ". " + w.Do)
	}
	return strings.TrimSpace(b.String()) + "\n"
}

// summaryText is c for people.
func summaryText(c host.Cluster) string {
	var b strings.Builder
	b.WriteString(writesLine(c.Writes))
	fmt.Fprintf(&b, "CLUSTER %s  epoch %s  %s  seen from %s at %s\n\n", orDash(c.ID), epochText(c.Epoch), c.Summary, c.From, stamp(c.Updated))
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "HOST\tDUTY\tSTATE\tTLI\tFLUSHED\tAPPLIED\tCONFIRMED\tAGE\tPG\tDISK\tCERT\tSUMMARY")
	for _, n := range c.Nodes {
		name := n.Name
		if n.ThisNode {
			name += "*"
		}
		fmt.Fprintln(t, strings.Join([]string{name, orDash(string(n.Duty)), stateText(n), orDash(zeroOr(n.Timeline)), orDash(lsn(n.Flushed)), orDash(lsn(n.Replayed)),
			orDash(lsn(n.Confirmed)), ageText(n.Age), orDash(n.PostgreSQL), diskText(n), certText(n), string(n.Summary)}, "\t"))
	}
	t.Flush()
	b.WriteString("\n")
	rows := lineRows(c.Line)
	if c.Line == nil && len(c.Nodes) > 1 {
		rows = []row{{"replication", "unknown, and so are the slot and what waits: only the active sees them, and it does not answer"}}
	}
	rows = append(rows, operationRows(c)...)
	for _, p := range c.Problems {
		text := p.Message
		if p.Node != "" {
			text = p.Node + ": " + text
		}
		if p.Since != nil {
			text += fmt.Sprintf(" (since %s)", stamp(*p.Since))
		}
		rows = append(rows, row{"BAD", text})
	}
	b.WriteString(table(rows))
	return b.String()
}

// lineRows are the replication and what waits for it.
func lineRows(l *host.Line) (rows []row) {
	if l == nil {
		return nil
	}
	text := "not connected"
	if l.Connected {
		text = fmt.Sprintf("%s, %s", l.State, orDash(l.SyncState))
		if l.ReplayLag != nil {
			text += fmt.Sprintf(", %d bytes behind", *l.ReplayLag)
		}
	}
	if l.Blocked {
		text += ", replay is paused"
	}
	rows = append(rows, row{"replication", fmt.Sprintf("%s to %s: %s", l.From, l.To, text)})
	slot := "none"
	if l.Slot != "" {
		slot = fmt.Sprintf("%s: %s", l.Slot, l.SlotStatus)
		if l.SlotSafe != nil {
			slot += fmt.Sprintf(", %.1f GiB left", float64(max(0, *l.SlotSafe))/(1<<30))
		}
	}
	unshown := "not counted"
	if l.Unshown != nil {
		unshown = fmt.Sprint(*l.Unshown)
	}
	return append(rows, row{"slot", slot}, row{"waiting", fmt.Sprintf("%d writes; unconfirmed changes: %s", l.Waiting, unshown)})
}

// operationRows are what an operator has set going, how the last of that ended, and who came and went.
func operationRows(c host.Cluster) (rows []row) {
	if o := c.Operation; o != nil {
		text := string(o.Kind)
		if o.Step != "" {
			text += ", at " + o.Step
		}
		text += ", since " + stamp(o.Since)
		if !o.Until.IsZero() {
			text += ", until " + stamp(o.Until)
		}
		if o.By != "" {
			text += ", by " + o.By
		}
		if o.Note != "" {
			text += ": " + o.Note
		}
		rows = append(rows, row{"operation", text})
	}
	if o := c.Outcome; o != nil {
		rows = append(rows, row{"last", fmt.Sprintf("%s at %s: %s", o.Kind, stamp(o.Ended), o.Sentence)})
	}
	if c.Joining != "" {
		rows = append(rows, row{"joining", c.Joining})
	}
	if f := c.Former; f != nil {
		rows = append(rows, row{"former", fmt.Sprintf("%s, until %s", f.Name, stamp(f.Since))})
	}
	return rows
}
