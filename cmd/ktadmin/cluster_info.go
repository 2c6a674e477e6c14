package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"keytrustee/host"
	"keytrustee/replication"
)

func newInfoCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "info",
		Short: "Say how this host stands in the pair, in a few lines",
		Long:  "info runs on either host. docs/cluster.md explains every field. It ends like ktadmin cluster summary.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.viewed(cmd.Context(), func(c host.Cluster) (any, string) { i := infoOf(c); return i, infoText(i) })
		},
	}
}

// info is the result of the command.
type info struct {
	NodeID    string            `json:"node_id"`
	Status    host.NodeStatus   `json:"status"`
	NodeCount int               `json:"node_count"`
	ID        string            `json:"cluster_id,omitempty"`
	Epoch     replication.Epoch `json:"epoch,omitzero"`
	Duty      replication.Duty  `json:"duty,omitempty"`
	Active    string            `json:"active,omitempty"`
	Passive   string            `json:"passive,omitempty"`
	Writes    host.Writes       `json:"writes"`
	Summary   host.Verdict      `json:"summary"`
}

func infoOf(c host.Cluster) info {
	self := c.Nodes[0]
	i := info{NodeID: self.Name, Status: self.Status, NodeCount: c.NodeCount, ID: c.ID, Epoch: c.Epoch, Duty: self.Duty, Writes: c.Writes, Summary: c.Summary}
	if self.Duty == "" {
		i.NodeCount = 0
	}
	for n, node := range c.Nodes {
		duty := node.Duty
		if duty == "" && n > 0 { // nothing is known of the other one but that it is the other one
			if duty = replication.Active; self.Duty == replication.Active {
				duty = replication.Passive
			}
		}
		switch duty {
		case replication.Active:
			i.Active = node.Name
		case replication.Passive:
			i.Passive = node.Name
		}
	}
	return i
}

func infoText(i info) string {
	return writesLine(i.Writes) + table([]row{
		{"node", i.NodeID}, {"status", i.Status.Text}, {"duty", orDash(string(i.Duty))}, {"summary", string(i.Summary)},
		{"cluster", fmt.Sprintf("%s, epoch %s, %d nodes", orDash(i.ID), epochText(i.Epoch), i.NodeCount)},
		{"active", orDash(i.Active)}, {"passive", orDash(i.Passive)},
	})
}
