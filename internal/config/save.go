package config

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"

	"keytrustee/internal/durable"
)

const sharedHead = `# The configuration of this cluster. Both hosts may have the same file; what differs lies in node/node.yaml, which may
# also hold any of these keys and wins. Every key can also be given as KEYTRUSTEE_<KEY> in the environment.
`

const nodeHead = `# The configuration of this host alone. Never copy it to the other one.
`

// Shared is the text of keytrustee.yaml.
func (c *Config) Shared() []byte {
	c.shared = map[string]any{"port": c.Port, "cluster_port": c.ClusterPort, "db_port": c.DBPort}
	return document(sharedHead, struct {
		ClusterID   string `yaml:"cluster_id"`
		Port        int    `yaml:"port"`
		ClusterPort int    `yaml:"cluster_port"`
		DBPort      int    `yaml:"db_port"`
	}{c.ClusterID, c.Port, c.ClusterPort, c.DBPort})
}

// SaveNode replaces node.yaml, durably. Its directory must exist. A port stands in it where keytrustee.yaml has another.
func (c *Config) SaveNode() error {
	type peer struct {
		Name    string `yaml:"name,omitempty"`
		Address string `yaml:"address,omitempty"`
		Source  string `yaml:"source,omitempty"`
	}
	text := document(nodeHead, struct {
		Name            string `yaml:"name"`
		ExternalAddress string `yaml:"external_address"`
		ListenAddress   string `yaml:"listen_address,omitempty"`
		Port            int    `yaml:"port,omitempty"`
		ClusterPort     int    `yaml:"cluster_port,omitempty"`
		DBPort          int    `yaml:"db_port,omitempty"`
		PGRootDir       string `yaml:"pg_rootdir"`
		SocketDir       string `yaml:"socket_dir"`
		LogDir          string `yaml:"log_dir"`
		User            string `yaml:"user"`
		Peer            peer   `yaml:"peer,omitempty"`
		Syslog          string `yaml:"syslog,omitempty"`
		SyslogCA        string `yaml:"syslog_ca,omitempty"`
		MetricsAddress  string `yaml:"metrics_address,omitempty"`

		BackupDirectory   string   `yaml:"backup_directory,omitempty"`
		BackupRecipients  []string `yaml:"backup_recipients,omitempty"`
		BackupOpenPGPKeys string   `yaml:"backup_openpgp_keys,omitempty"`
		BackupSchedule    string   `yaml:"backup_schedule,omitempty"`
		BackupKeepHourly  *int     `yaml:"backup_keep_hourly,omitempty"`
		BackupKeepDaily   *int     `yaml:"backup_keep_daily,omitempty"`
		BackupKeepWeekly  *int     `yaml:"backup_keep_weekly,omitempty"`
		BackupTargets     []string `yaml:"backup_targets,omitempty"`
		BackupKnownHosts  string   `yaml:"backup_ssh_known_hosts,omitempty"`
		BackupSSHKey      string   `yaml:"backup_ssh_key,omitempty"`
	}{
		c.Name, c.ExternalAddress, c.ListenAddress,
		c.own("port", c.Port), c.own("cluster_port", c.ClusterPort), c.own("db_port", c.DBPort),
		c.PGRootDir, c.SocketDir, c.LogDir, c.User, peer(c.Peer),
		c.ownText("syslog", c.Syslog), c.ownText("syslog_ca", c.SyslogCA), c.ownText("metrics_address", c.MetricsAddress),
		c.ownBackups(), c.ownList("backup_recipients", c.BackupRecipients), c.ownText("backup_openpgp_keys", c.BackupOpenPGPKeys),
		c.ownSchedule(), c.ownCount("backup_keep_hourly", c.BackupKeepHourly), c.ownCount("backup_keep_daily", c.BackupKeepDaily), c.ownCount("backup_keep_weekly", c.BackupKeepWeekly),
		c.ownList("backup_targets", c.BackupTargets), c.ownText("backup_ssh_known_hosts", c.BackupSSHKnownHosts), c.ownText("backup_ssh_key", c.BackupSSHKey),
	})
	return durable.WriteFile(c.NodeFile(), text, 0o600)
}

// own returns the port if this host's differs from the cluster's, otherwise 0, which node.yaml leaves out.
func (c *Config) own(key string, port int) int {
	if shared, ok := c.shared[key].(int); ok && shared == port {
		return 0
	}
	return port
}

// ownText is own for a text.
func (c *Config) ownText(key, text string) string {
	if shared, ok := c.shared[key].(string); ok && shared == text {
		return ""
	}
	return text
}

// ownBackups is the directory of the backups, where it is not the one that follows from the home.
func (c *Config) ownBackups() string {
	if c.BackupDirectory == filepath.Join(c.Home(), "backups") {
		return ""
	}
	return c.ownText("backup_directory", c.BackupDirectory)
}

// ownList is own for a list of texts.
func (c *Config) ownList(key string, texts []string) []string {
	shared, _ := c.shared[key].([]any)
	if slices.EqualFunc(shared, texts, func(a any, b string) bool { return a == b }) {
		return nil
	}
	return texts
}

// ownCount is own for a number that may be 0: nil, where it is what would be read without it.
func (c *Config) ownCount(key string, n int) *int {
	without := c.shared[key]
	if without == nil {
		without = preset(key)
	}
	if fmt.Sprint(without) == strconv.Itoa(n) {
		return nil
	}
	return &n
}

// ownSchedule is own for the schedule of backups.
func (c *Config) ownSchedule() string {
	const key = "backup_schedule"
	without := c.shared[key]
	if without == nil {
		without = preset(key)
	}
	if without == c.BackupSchedule {
		return ""
	}
	return c.BackupSchedule
}

// preset is the value of a key that no file and no environment gives, where it does not depend on the host.
func preset(key string) string {
	i := slices.IndexFunc(settings, func(s setting) bool { return s.key == key })
	return settings[i].preset(nil)
}

func document(head string, v any) []byte {
	b := bytes.NewBufferString(head)
	e := yaml.NewEncoder(b)
	e.SetIndent(2)
	if err := e.Encode(v); err != nil {
		panic(err) // strings and numbers always encode
	}
	return b.Bytes()
}
