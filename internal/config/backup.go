package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v3"

	"keytrustee/internal/durable"
)

// ReachedAt is how a host is reached: its external address and its cluster port, by the two files of the configuration below home, which
// may lie in a copy. The environment of this process, which need not be that host's, does not count.
func ReachedAt(home string) (address string, clusterPort int, err error) {
	shared, err := filepath.Glob(filepath.Join(home, "*", "keytrustee.yaml"))
	if err != nil {
		return "", 0, err
	}
	held := struct {
		Address     string `yaml:"external_address"`
		ClusterPort int    `yaml:"cluster_port"`
	}{ClusterPort: 11372}
	for _, file := range append(shared, filepath.Join(home, "node", "node.yaml")) {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", 0, err
		}
		if err := yaml.Unmarshal(text, &held); err != nil {
			return "", 0, fmt.Errorf("%s: %w", file, err)
		}
	}
	if held.Address == "" {
		return "", 0, errors.New("it names no external_address")
	}
	return held.Address, held.ClusterPort, nil
}

// moves are the keys of node.yaml that a host keeps on another machine: none that says where files lie, or who it runs as.
var moves = []string{"name", "external_address", "listen_address", "port", "cluster_port", "db_port", "peer", "syslog", "syslog_ca", "metrics_address",
	"backup_recipients", "backup_schedule", "backup_keep_hourly", "backup_keep_daily", "backup_keep_weekly"}

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
