package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"go.yaml.in/yaml/v3"

	"keytrustee/internal/durable"
)

// moves are the keys of node.yaml that a host keeps on another machine: none that says where files of its own lie, or
// who it runs as. Where copies of its backups go it keeps: what can not be reached from there is said, and what was forgotten is not.
var moves = []string{"name", "external_address", "listen_address", "port", "cluster_port", "db_port", "peer", "syslog", "syslog_ca", "metrics_address",
	"backup_recipients", "backup_openpgp_keys", "backup_schedule", "backup_keep_hourly", "backup_keep_daily", "backup_keep_weekly", "backup_targets"}

// TakeNode makes text, the node.yaml that a host had, the one of this host, as far as it holds on another machine. A node.yaml that is there
// stays as it is. The directory must exist.
func (c *Config) TakeNode(text []byte) error {
	if _, err := os.Stat(c.NodeFile()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var held map[string]any
	if err := yaml.Unmarshal(text, &held); err != nil {
		return fmt.Errorf("the node.yaml of this host as it was: %w", err)
	}
	for key := range held {
		if !slices.Contains(moves, key) {
			delete(held, key)
		}
	}
	return durable.WriteFile(c.NodeFile(), document(nodeHead, held), 0o600)
}
