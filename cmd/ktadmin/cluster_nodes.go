package main

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"keytrustee/host"
	"keytrustee/postgres"
	"keytrustee/replication"
)

func newNodesCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "nodes [NAME]",
		Short: "Say everything of each host, or of one",
		Long: "nodes runs on either host and says all that is known of each: by its own word, or what the other one heard last, and when. docs/cluster.md\n" +
			"explains every field. It ends like ktadmin cluster summary.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var unknown error
			err := a.viewed(cmd.Context(), func(c host.Cluster) (any, string) {
				nodes := c.Nodes
				if len(args) > 0 {
					nodes = slices.DeleteFunc(slices.Clone(nodes), func(n host.Node) bool { return n.Name != args[0] })
					if len(nodes) == 0 {
						unknown = usagef("there is no node %s; there are %s", args[0], names(c.Nodes))
					}
				}
				return listing{len(nodes), nodes}, nodesText(c, nodes)
			})
			if unknown != nil {
				return unknown
			}
			return err
		},
	}
}

// listing is the result of nodes.
type listing struct {
	Total     int         `json:"total"`
	Resources []host.Node `json:"resources"`
}

func names(nodes []host.Node) string {
	var all []string
	for _, n := range nodes {
		all = append(all, n.Name)
	}
	return strings.Join(all, " and ")
}

func nodesText(c host.Cluster, nodes []host.Node) string {
	var b strings.Builder
	b.WriteString(writesLine(c.Writes))
	for _, n := range nodes {
		b.WriteString("\n" + table(nodeRows(n)))
	}
	return b.String()
}

// nodeRows is n for people: what is not known is not there.
func nodeRows(n host.Node) (rows []row) {
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, row{name, value})
		}
	}
	name := n.Name
	if n.ThisNode {
		name += " (this host)"
	}
	add("node", name)
	add("host", n.Host)
	add("summary", string(n.Summary))
	for _, p := range n.Problems {
		text := p.Message
		if p.Since != nil {
			text += fmt.Sprintf(" (since %s)", stamp(*p.Since))
		}
		add("", text)
	}
	add("status", fmt.Sprintf("%s: %s", n.Status.Code, n.Status.Text))
	source := map[host.Source]string{host.OwnWord: "its own word", host.PeersWord: "what the other host heard of it", host.FilesWord: "its files",
		host.NoWord: "only that it is there"}[n.Source]
	if n.AsOf != nil {
		source += " at " + stamp(*n.AsOf)
	}
	add("known by", source)
	add("duty", string(n.Duty))
	if n.Epoch != (replication.Epoch{}) {
		add("epoch", epochText(n.Epoch))
	}
	add("state", n.State)
	add("daemon", upDown(n.Daemon))
	add("database", upDown(n.Database))
	add("reads", n.Reads)
	add("release", n.Release)
	add("postgresql", n.PostgreSQL)
	if n.SystemID != 0 {
		add("system id", strconv.FormatUint(n.SystemID, 10))
	}
	if n.Uptime > 0 {
		add("uptime", span(n.Uptime))
	}
	add("timeline", zeroOr(n.Timeline))
	add("flushed", lsn(n.Flushed))
	add("applied", lsn(n.Replayed))
	add("confirmed", lsn(n.Confirmed))
	if n.Age != nil {
		add("attested", ageText(n.Age)+" ago")
	}
	if n.ClockSkew != nil {
		add("clock", fmt.Sprintf("the other one's is %+.3f s", *n.ClockSkew))
	}
	if n.RootProof != nil {
		add("root proof", ageText(n.RootProof)+" ago")
	}
	if n.DiskSize > 0 {
		add("disk", fmt.Sprintf("%s, %d MiB free", diskText(n), n.DiskFree>>20))
	}
	for _, c := range slices.Sorted(maps.Keys(n.Certificates)) {
		add("certificate", fmt.Sprintf("%s: %.0f days left", c, math.Floor(n.Certificates[c])))
	}
	add("recovery key", n.Recovery)
	if n.AuditTrouble != "" || n.AuditLost > 0 {
		add("audit", strings.TrimPrefix(fmt.Sprintf("%s; %d lines are missing", n.AuditTrouble, n.AuditLost), "; "))
	}
	if n.Syslog != "" {
		add("syslog", fmt.Sprintf("%s; %d messages lost", n.Syslog, n.SyslogLost))
	}
	add("unfinished", n.Unfinished)
	if s := n.Sees; s != nil {
		text := fmt.Sprintf("%s: %s", s.Node, s.Summary)
		if s.Why != "" {
			text += ": " + s.Why
		}
		if s.Heard != nil && !s.Answers {
			text += ", last heard at " + stamp(*s.Heard)
		}
		add("sees", text)
	}
	return rows
}

// table is rows in two columns.
func table(rows []row) string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\n", r.name, r.value)
	}
	t.Flush()
	return b.String()
}

// stateText is what n does, or else how it stands.
func stateText(n host.Node) string {
	if n.Status.Code == "r" && n.State != "" {
		return n.State
	}
	return n.Status.Text
}

func diskText(n host.Node) string {
	if n.DiskSize == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f%%", 100*(1-float64(n.DiskFree)/float64(n.DiskSize)))
}

// certText is the certificate that ends first.
func certText(n host.Node) string {
	if len(n.Certificates) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0fd", math.Floor(slices.Min(slices.Collect(maps.Values(n.Certificates)))))
}

func ageText(age *float64) string {
	if age == nil {
		return "-"
	}
	if *age >= 60 {
		return span(*age)
	}
	return fmt.Sprintf("%.1fs", *age)
}

func upDown(up *bool) string {
	switch {
	case up == nil:
		return ""
	case *up:
		return "answers"
	}
	return "does not answer"
}

func lsn(l postgres.LSN) string {
	if l == 0 {
		return ""
	}
	return l.String()
}

func zeroOr(t postgres.Timeline) string {
	if t == 0 {
		return ""
	}
	return fmt.Sprint(uint32(t))
}

func epochText(e replication.Epoch) string {
	if e.IsZero() {
		return "-"
	}
	return fmt.Sprintf("%d (%.4s)", e.Number, e.ID)
}

// span is a length of time, to the second.
func span(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Truncate(time.Second).String()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
