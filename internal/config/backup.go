package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
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
