package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
)

// setting is one key of the configuration.
type setting struct {
	key     string
	preset  func(*Config) string
	set     func(*Config, string) error
	setList func(*Config, any) error // of a key that takes several values; set is for its preset then
	remedy  string                   // how to put a malformed value right
}

// settings are all keys, in the order in which they are read: a preset may use what stands above it.
var settings = []setting{
	text("cluster_id", func(c *Config) *string { return &c.ClusterID }, ""),
	text("name", func(c *Config) *string { return &c.Name }, ""),
	text("external_address", func(c *Config) *string { return &c.ExternalAddress }, ""),
	text("listen_address", func(c *Config) *string { return &c.ListenAddress }, ""),
	number("port", func(c *Config) *int { return &c.Port }, 11371),
	number("cluster_port", func(c *Config) *int { return &c.ClusterPort }, 11372),
	number("db_port", func(c *Config) *int { return &c.DBPort }, 11381),
	directory("pg_rootdir", func(c *Config) *string { return &c.PGRootDir }, "db"),
	text("socket_dir", func(c *Config) *string { return &c.SocketDir }, DefaultSocketDir),
	directory("log_dir", func(c *Config) *string { return &c.LogDir }, "log"),
	text("user", func(c *Config) *string { return &c.User }, "keytrustee"),
	text("peer.name", func(c *Config) *string { return &c.Peer.Name }, ""),
	text("peer.address", func(c *Config) *string { return &c.Peer.Address }, ""),
	text("peer.source", func(c *Config) *string { return &c.Peer.Source }, ""),
	text("syslog", func(c *Config) *string { return &c.Syslog }, ""),
	text("syslog_ca", func(c *Config) *string { return &c.SyslogCA }, ""),
	text("metrics_address", func(c *Config) *string { return &c.MetricsAddress }, ""),
	directory("backup_directory", func(c *Config) *string { return &c.BackupDirectory }, "backups"),
	list("backup_recipients", func(c *Config) *[]string { return &c.BackupRecipients }),
	text("backup_openpgp_keys", func(c *Config) *string { return &c.BackupOpenPGPKeys }, ""),
	schedule("backup_schedule", func(c *Config) *string { return &c.BackupSchedule }, "0 * * * *"),
	count("backup_keep_hourly", func(c *Config) *int { return &c.BackupKeepHourly }, 10),
	count("backup_keep_daily", func(c *Config) *int { return &c.BackupKeepDaily }, 7),
	count("backup_keep_weekly", func(c *Config) *int { return &c.BackupKeepWeekly }, 4),
	list("backup_targets", func(c *Config) *[]string { return &c.BackupTargets }),
	text("backup_ssh_known_hosts", func(c *Config) *string { return &c.BackupSSHKnownHosts }, ""),
	text("backup_ssh_key", func(c *Config) *string { return &c.BackupSSHKey }, ""),
}

func text(key string, field func(*Config) *string, preset string) setting {
	return setting{
		key:    key,
		preset: func(*Config) string { return preset },
		set:    func(c *Config, s string) error { *field(c) = s; return nil },
	}
}

// directory is a path whose preset lies in the host's home.
func directory(key string, field func(*Config) *string, name string) setting {
	s := text(key, field, "")
	s.preset = func(c *Config) string { return filepath.Join(c.Home(), name) }
	return s
}

// list is several texts: in a file as a list, in the environment with blanks or commas between them. Its preset is none.
func list(key string, field func(*Config) *[]string) setting {
	split := func(c *Config, s string) error {
		*field(c) = strings.FieldsFunc(s, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
		return nil
	}
	return setting{
		key:    key,
		preset: func(*Config) string { return "" },
		set:    split,
		setList: func(c *Config, value any) error {
			if s, ok := value.(string); ok {
				return split(c, s)
			}
			values, ok := value.([]any)
			if !ok {
				return errors.New("is not a list")
			}
			var texts []string
			for i, v := range values {
				s, ok := v.(string)
				if !ok {
					return fmt.Errorf("value %d of %d is not a text", i+1, len(values))
				}
				texts = append(texts, s)
			}
			*field(c) = texts
			return nil
		},
		remedy: "give one value a line, each after a dash",
	}
}

func number(key string, field func(*Config) *int, preset int) setting {
	return setting{
		key:    key,
		preset: func(*Config) string { return strconv.Itoa(preset) },
		set: func(c *Config, s string) error {
			n, err := strconv.Atoi(s)
			if err != nil {
				return errors.New(strconv.Quote(s) + " is not a number")
			}
			*field(c) = n
			return nil
		},
		remedy: "give a port number, such as " + strconv.Itoa(preset),
	}
}

// schedule is a text for which nothing means off: in node.yaml nothing would mean what keytrustee.yaml says.
func schedule(key string, field func(*Config) *string, preset string) setting {
	s := text(key, field, preset)
	s.set = func(c *Config, value string) error {
		if *field(c) = strings.TrimSpace(value); *field(c) == "" {
			*field(c) = "off"
		}
		return nil
	}
	return s
}

// count is a number that is no port.
func count(key string, field func(*Config) *int, preset int) setting {
	s := number(key, field, preset)
	s.remedy = "give a number, such as " + strconv.Itoa(preset)
	return s
}
