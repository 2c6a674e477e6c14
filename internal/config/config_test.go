package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// home makes a host's directories and returns its confdir.
func home(t *testing.T, shared, node string) string {
	t.Helper()
	confdir := filepath.Join(t.TempDir(), ".keytrustee")
	for path, text := range map[string]string{
		filepath.Join(confdir, "keytrustee.yaml"):         shared,
		filepath.Join(confdir, "..", "node", "node.yaml"): node,
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if text == "" {
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return confdir
}

func TestLoadSavesAndLoads(t *testing.T) {
	confdir := home(t, "", "")
	if _, err := Load(confdir); !errors.Is(err, ErrNotInitialized) {
		t.Fatalf("a host without files: %v", err)
	}
	c, err := Read(confdir)
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Confdir: confdir, Port: 11371, ClusterPort: 11372, DBPort: 11381, SocketDir: "/run/keytrustee", User: "keytrustee",
		PGRootDir: filepath.Join(filepath.Dir(confdir), "db"), LogDir: filepath.Join(filepath.Dir(confdir), "log"),
		BackupDirectory: filepath.Join(filepath.Dir(confdir), "backups"), BackupRecipients: []string{},
		BackupSchedule: "0 * * * *", BackupKeepHourly: 10, BackupKeepDaily: 7, BackupKeepWeekly: 4, BackupTargets: []string{},
	}
	same := cmpopts.IgnoreUnexported(Config{})
	if diff := cmp.Diff(want, c, same); diff != "" {
		t.Fatalf("presets (-want +got):\n%s", diff)
	}
	c.ClusterID, c.Name, c.ExternalAddress, c.ListenAddress, c.Port = "c1", "kt01", "kt01.example.com", "::1", 443
	c.Peer = Peer{"kt02", "kt02.example.com", "10.0.0.2"}
	c.Syslog, c.MetricsAddress = "tcp://[fd00::1]", "127.0.0.1:9100"
	c.BackupDirectory, c.BackupRecipients, c.BackupOpenPGPKeys = "/srv/backups", []string{"age1a", "age1b"}, "/etc/kt/keys.gpg"
	c.BackupSchedule, c.BackupKeepHourly, c.BackupKeepWeekly = "off", 24, 0
	c.BackupTargets, c.BackupSSHKnownHosts, c.BackupSSHKey = []string{"sftp://kt@store/kt", "file:///mnt/kt"}, "/etc/kt/known_hosts", "/etc/kt/id"
	if err := os.WriteFile(c.SharedFile(), c.Shared(), 0o600); err != nil {
		t.Fatal(err)
	}
	c.DBPort = 5555 // this host's own
	if err := c.SaveNode(); err != nil {
		t.Fatal(err)
	}
	got, err := Load(confdir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, got, same); diff != "" {
		t.Errorf("saved and loaded (-want +got):\n%s", diff)
	}
	text, err := os.ReadFile(c.NodeFile())
	if err != nil {
		t.Fatal(err)
	}
	if s := string(text); !strings.Contains(s, "db_port: 5555") || strings.Contains(s, "cluster_port") || strings.Contains(s, "\nport") || strings.Contains(s, "backup_keep_daily") {
		t.Errorf("node.yaml holds what keytrustee.yaml says too:\n%s", s)
	}
}

func TestPrecedence(t *testing.T) {
	confdir := home(t, "cluster_id: c1\nport: 1\ndb_port: 2\ncluster_port: 3\n",
		"name: kt01\nexternal_address: kt01\nport: 11\ndb_port: 12\npeer:\n  name: kt02\n")
	t.Setenv("KEYTRUSTEE_DB_PORT", "22")
	t.Setenv("KEYTRUSTEE_PEER_ADDRESS", "kt02.example.com")
	c, err := Load(confdir)
	if err != nil {
		t.Fatal(err)
	}
	if c.Port != 11 || c.DBPort != 22 || c.ClusterPort != 3 || c.Peer.Name != "kt02" || c.Peer.Address != "kt02.example.com" {
		t.Errorf("read %+v", c)
	}
}

func TestReadFindsEveryFaultOfForm(t *testing.T) {
	confdir := home(t, "port: many\nprot: 1\nbackup_keep_daily: few\n", "db_port: [1]\npeer: {nmae: kt02}\n")
	_, err := Read(confdir)
	var invalid *InvalidError
	if !errors.As(err, &invalid) {
		t.Fatalf("error %v", err)
	}
	for _, field := range []string{"port", "db_port", "prot", "peer.nmae", "backup_keep_daily"} {
		if !names(invalid, field) {
			t.Errorf("no fault for %s in:\n%v", field, err)
		}
	}
	if _, err := Read(home(t, "a: [", "")); err == nil || !strings.Contains(err.Error(), "keytrustee.yaml") {
		t.Errorf("a broken file: %v", err)
	}
}

func TestValidate(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Config)
		faults string
	}{
		{"valid", func(*Config) {}, ""},
		{"addresses", func(c *Config) { c.ExternalAddress, c.Peer.Address = "127.0.0.1", "fd00::2" }, ""},
		{"a URL for a name", func(c *Config) { c.ExternalAddress = "https://kt01:11371" }, "external_address"},
		{"not quite an address", func(c *Config) { c.ExternalAddress = "10.0.0" }, "external_address"},
		{"a name with a dot", func(c *Config) { c.Name = "kt01.example" }, "name"},
		{"the peer is oneself", func(c *Config) { c.Peer.Name = c.Name }, "peer.name"},
		{"one port twice", func(c *Config) { c.DBPort = c.Port }, "db_port"},
		{"no port", func(c *Config) { c.ClusterPort = 0 }, "cluster_port"},
		{"relative", func(c *Config) { c.PGRootDir = "db" }, "pg_rootdir"},
		{"data in the confdir", func(c *Config) { c.PGRootDir = c.Confdir + "/db" }, "pg_rootdir"},
		{"a long socket directory", func(c *Config) { c.SocketDir = "/" + strings.Repeat("a", 90) }, "socket_dir"},
		{"syslog and metrics", func(c *Config) {
			c.Syslog, c.SyslogCA, c.MetricsAddress = "tls://log.example.com", "/etc/ssl/log.pem", "[::1]:9100"
		}, ""},
		{"syslog over UDP", func(c *Config) { c.Syslog = "udp://log.example.com:514" }, "syslog"},
		{"syslog without a scheme", func(c *Config) { c.Syslog = "log.example.com:514" }, "syslog"},
		{"syslog at no port", func(c *Config) { c.Syslog = "tcp://log.example.com:70000" }, "syslog"},
		{"backups in the confdir", func(c *Config) { c.BackupDirectory = c.Confdir + "/backups" }, "backup_directory"},
		{"no backups kept", func(c *Config) { c.BackupKeepHourly, c.BackupKeepDaily, c.BackupKeepWeekly = 0, 0, 0 }, "backup_keep_hourly"},
		{"backups by the day alone", func(c *Config) { c.BackupKeepHourly, c.BackupKeepWeekly = 0, 0 }, ""},
		{"fewer than none", func(c *Config) { c.BackupKeepDaily, c.BackupKeepWeekly = -1, -7 }, "backup_keep_daily backup_keep_weekly"},
		{"OpenPGP keys somewhere", func(c *Config) { c.BackupOpenPGPKeys = "keys.gpg" }, "backup_openpgp_keys"},
		{"an SSH key somewhere", func(c *Config) { c.BackupSSHKnownHosts, c.BackupSSHKey = "known_hosts", "id" }, "backup_ssh_known_hosts backup_ssh_key"},
		{"authorities somewhere", func(c *Config) { c.SyslogCA = "log.pem" }, "syslog_ca"},
		{"metrics at a port alone", func(c *Config) { c.MetricsAddress = "9100" }, "metrics_address"},
		{"all at once", func(c *Config) { *c = Config{Confdir: c.Confdir, ListenAddress: "here", Peer: Peer{Source: "x"}} },
			"cluster_id name external_address listen_address port cluster_port db_port pg_rootdir socket_dir log_dir backup_directory user peer.source backup_keep_hourly"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Read(home(t, "cluster_id: c1", "name: kt01\nexternal_address: kt01.example.com"))
			if err != nil {
				t.Fatal(err)
			}
			tt.change(c)
			var got []string
			var invalid *InvalidError
			if errors.As(c.Validate(), &invalid) {
				for _, f := range invalid.Faults {
					got = append(got, f.Field)
					if f.Problem == "" || f.Remedy == "" {
						t.Errorf("%s has no problem or no remedy", f.Field)
					}
				}
			}
			if s := strings.Join(got, " "); s != tt.faults {
				t.Errorf("faults %q, want %q", s, tt.faults)
			}
		})
	}
}

// A host that is about to join learns its name, its address and its cluster; whatever else is wrong is wrong.
func TestValidateJoiner(t *testing.T) {
	c, err := Read(home(t, "", ""))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.ValidateJoiner(); err != nil {
		t.Errorf("nothing given: %v", err)
	}
	c.Name, c.DBPort = "KT 01", 0
	var invalid *InvalidError
	if !errors.As(c.ValidateJoiner(), &invalid) || !names(invalid, "name") || !names(invalid, "db_port") || names(invalid, "cluster_id") {
		t.Errorf("faults %v", invalid)
	}
}

func TestSyslogReceiver(t *testing.T) {
	for text, want := range map[string]string{"": "", "tls://log": "log:6514 over TLS", "tcp://10.0.0.5": "10.0.0.5:514", "tls://[fd00::1]:7000": "[fd00::1]:7000 over TLS"} {
		address, overTLS, err := (&Config{Syslog: text}).SyslogReceiver()
		if overTLS {
			address += " over TLS"
		}
		if err != nil || address != want {
			t.Errorf("%q: %q, %v; want %q", text, address, err, want)
		}
	}
}

// Several values are a list in a file and words in the environment; what both hosts share stays out of node.yaml.
func TestBackupRecipients(t *testing.T) {
	confdir := home(t, "cluster_id: c1\nbackup_recipients:\n  - age1a\n  - age1b\n", "name: kt01\nexternal_address: kt01\n")
	want := func(texts ...string) *Config {
		t.Helper()
		c, err := Load(confdir)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(texts, c.BackupRecipients); diff != "" {
			t.Errorf("recipients (-want +got):\n%s", diff)
		}
		return c
	}
	if err := want("age1a", "age1b").SaveNode(); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(confdir, "..", "node", "node.yaml")); err != nil || strings.Contains(string(text), "backup") {
		t.Errorf("node.yaml, %v:\n%s", err, text)
	}
	t.Setenv("KEYTRUSTEE_BACKUP_RECIPIENTS", "age1c, age1d age1e")
	want("age1c", "age1d", "age1e")
	os.Unsetenv("KEYTRUSTEE_BACKUP_RECIPIENTS")
	for text, problem := range map[string]string{"{a: b}": "is not a list", "[age1a, 7]": "value 2 of 2 is not a text", "[[a], b]": "value 1 of 2 is not a text"} {
		_, err := Read(home(t, "backup_recipients: "+text, ""))
		var invalid *InvalidError
		if !errors.As(err, &invalid) || !names(invalid, "backup_recipients") || !strings.Contains(err.Error(), problem) {
			t.Errorf("%s: %v, want %q", text, err, problem)
		}
	}
}

func names(e *InvalidError, field string) bool {
	for _, f := range e.Faults {
		if f.Field == field {
			return true
		}
	}
	return false
}

func TestFromFileTellsFilesFromTheEnvironment(t *testing.T) {
	confdir := home(t, "cluster_id: c1\nsocket_dir: /run/shared\n", "Socket_Dir: /run/node\nlog_dir: /var/log/node\n")
	t.Setenv("KEYTRUSTEE_LOG_DIR", "/var/log/given")
	c, err := Read(confdir)
	if err != nil {
		t.Fatal(err)
	}
	for key, row := range map[string]struct {
		value string
		want  bool
	}{"socket_dir": {c.SocketDir, true}, "log_dir": {c.LogDir, false}, "pg_rootdir": {c.PGRootDir, false}} {
		if got := c.FromFile(key, row.value); got != row.want {
			t.Errorf("%s %s: from a file: %t", key, row.value, got)
		}
	}
}

// TestBackupSchedule: nothing is off, and what both hosts share, or follows from nothing, stays out of node.yaml.
func TestBackupSchedule(t *testing.T) {
	const node = "name: kt01\nexternal_address: kt01\n"
	for _, row := range []struct{ shared, node, want, saved string }{
		{"", "", "0 * * * *", ""},
		{"backup_schedule: off\n", "", "off", ""},
		{"backup_schedule: \"\"\n", "", "off", "backup_schedule: \"off\""},
		{"backup_schedule: \"*/30 * * * *\"\n", "", "*/30 * * * *", ""},
		{"backup_schedule: off\n", "backup_schedule: \" 0 * * * * \"\n", "0 * * * *", "backup_schedule: 0 * * * *"},
	} {
		confdir := home(t, "cluster_id: c1\n"+row.shared, node+row.node)
		c, err := Load(confdir)
		if err != nil {
			t.Fatal(err)
		}
		if c.BackupSchedule != row.want {
			t.Errorf("%q and %q are %q, want %q", row.shared, row.node, c.BackupSchedule, row.want)
		}
		if err := c.SaveNode(); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(c.NodeFile())
		if err != nil || strings.Contains(string(text), "backup_schedule") != (row.saved != "") || !strings.Contains(string(text), row.saved) {
			t.Errorf("%q and %q: node.yaml, %v:\n%s", row.shared, row.node, err, text)
		}
		if again, err := Load(confdir); err != nil || again.BackupSchedule != row.want {
			t.Errorf("saved and loaded: %v, %v", again, err)
		}
	}
}

// TestSetShared: one key gets another value, and whatever else somebody wrote into the file stays.
func TestSetShared(t *testing.T) {
	const before = `# ours
cluster_id: c1 # made by init
port: 1

# who can read them
backup_recipients:
  - age1a
  - age1b
`
	confdir := home(t, before, "name: kt01\nexternal_address: kt01\n")
	c, err := Load(confdir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(c.SharedFile(), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := c.SetShared("cluster_id", "c1"); err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"*/5 * * * *", "off"} {
		if err := c.SetShared("backup_schedule", value); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(c.SharedFile())
		if err != nil || string(text) != strings.Replace(before, "c1", `"c1"`, 1)+`backup_schedule: "`+value+"\"\n" {
			t.Errorf("%v:\n%s", err, text)
		}
		info, err := os.Stat(c.SharedFile())
		if err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("its mode is %v, %v", info.Mode(), err)
		}
		if c, err := Load(confdir); err != nil || c.BackupSchedule != value {
			t.Errorf("loaded %v, %v", c, err)
		}
	}
	for _, text := range []string{"- a\n", "a: [", "{cluster_id: c1, backup_schedule: off}", "backup_schedule: |\n  off\ncluster_id: c1\n"} {
		if err := os.WriteFile(c.SharedFile(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := c.SetShared("backup_schedule", "off"); err == nil {
			t.Errorf("%q was changed", text)
		}
		if got, err := os.ReadFile(c.SharedFile()); err != nil || string(got) != text {
			t.Errorf("%q is %q now, %v", text, got, err)
		}
	}
}
