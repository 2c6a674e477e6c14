package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/viper"
	"go.yaml.in/yaml/v3"
)

// DefaultConfdir is where the confdir lies unless told otherwise.
const DefaultConfdir = "/var/lib/keytrustee/.keytrustee"

// DefaultSocketDir is where the sockets lie unless told otherwise.
const DefaultSocketDir = "/run/keytrustee"

// Config is the configuration of one host.
type Config struct {
	Confdir string // given, not read: everything else is found from it

	ClusterID string // empty before init

	Name            string // the node's name, unique in the cluster: certificates, the standby's name, status
	ExternalAddress string // DNS name or IP address by which clients and the peer reach this host
	ListenAddress   string // what every listener binds to; empty: all addresses
	Port            int    // clients
	ClusterPort     int    // the peer's daemon
	DBPort          int    // PostgreSQL
	PGRootDir       string // PostgreSQL's data directory
	SocketDir       string // PostgreSQL's socket and the daemon's admin socket
	LogDir          string // audit logs
	User            string // the system user that everything runs as
	Peer            Peer

	Syslog         string // who gets the audit log too: tls://host:6514 or tcp://host:514; empty: nobody
	SyslogCA       string // file with the authorities that may vouch for that host; empty: the system's
	MetricsAddress string // host:port where metrics are served; empty: nowhere

	BackupDirectory   string   // where backups lie
	BackupRecipients  []string // who can read them; nobody: no backup can be made
	BackupOpenPGPKeys string   // file with the public keys of the recipients that are OpenPGP keys

	BackupSchedule   string // when the daemon makes them: a cron expression, in UTC, or off; its form is not checked here
	BackupKeepHourly int    // of so many hours that have a backup the newest one is kept
	BackupKeepDaily  int    // of so many days
	BackupKeepWeekly int    // of so many weeks

	BackupTargets       []string // where copies of the backups are sent: sftp://USER@HOST/DIRECTORY or file:///DIRECTORY
	BackupSSHKnownHosts string   // file with the keys of those hosts, as OpenSSH's known_hosts; empty: none is known
	BackupSSHKey        string   // file with the private key that lets this host in there; empty: the agent of SSH_AUTH_SOCK is asked

	shared map[string]any // what keytrustee.yaml holds
	files  *viper.Viper   // what both files hold, without the environment
	owners map[string]int // of the files
}

// Peer is what this host is told of the other one. All of it may be empty: a join fills in what is missing.
type Peer struct {
	Name    string
	Address string // as ExternalAddress, the peer's
	Source  string // the address its connections come from, if that is not what Address resolves to
}

// Home is the parent of the confdir.
func (c *Config) Home() string { return filepath.Dir(c.Confdir) }

// NodeDir holds what is this host's own and must never be copied to the other.
func (c *Config) NodeDir() string { return filepath.Join(c.Home(), "node") }

// SharedFile is keytrustee.yaml.
func (c *Config) SharedFile() string { return filepath.Join(c.Confdir, "keytrustee.yaml") }

// NodeFile is node.yaml.
func (c *Config) NodeFile() string { return filepath.Join(c.NodeDir(), "node.yaml") }

// InConfdir reports whether path is the confdir or lies in it, and so may be copied to the other host.
func (c *Config) InConfdir(path string) bool {
	rel, err := filepath.Rel(c.Confdir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// ErrNotInitialized is returned by Load for a confdir without configuration.
var ErrNotInitialized = errors.New("this host is not initialized")

// Load reads the configuration of an initialized host and validates it. It fails with ErrNotInitialized if confdir or the
// node directory holds none, and with an *InvalidError that lists every fault.
func Load(confdir string) (*Config, error) {
	c, err := Read(confdir)
	if err != nil {
		return nil, err
	}
	for _, path := range []string{c.SharedFile(), c.NodeFile()} {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: there is no %s", ErrNotInitialized, path)
		} else if err != nil {
			return nil, err
		}
	}
	return c, c.Validate()
}

// Read is Load for a host that need not be initialized yet: absent files leave the defaults, and only the form of what is
// there is checked.
func Read(confdir string) (*Config, error) {
	if confdir == "" {
		return nil, &InvalidError{[]Fault{{"confdir", "is empty", "name the directory, or leave it out for " + DefaultConfdir}}}
	}
	confdir, err := filepath.Abs(confdir)
	if err != nil {
		return nil, err
	}
	c := &Config{Confdir: confdir, files: viper.New(), owners: map[string]int{}}
	v := viper.New()
	v.SetConfigType("yaml")
	v.SetEnvPrefix("KEYTRUSTEE")
	v.SetEnvKeyReplacer(strings.NewReplacer(".", "_"))
	v.AutomaticEnv()
	var faults []Fault
	for _, path := range []string{c.SharedFile(), c.NodeFile()} {
		held, err := c.parse(path)
		if errors.Is(err, fs.ErrPermission) {
			return nil, err
		} else if err == nil {
			err = errors.Join(v.MergeConfigMap(held), c.files.MergeConfigMap(held))
		}
		if err != nil {
			faults = append(faults, Fault{Field: path, Problem: err.Error(), Remedy: "correct the file"})
		}
		if path == c.SharedFile() {
			c.shared = held
		}
	}
	known := map[string]bool{}
	for _, s := range settings {
		known[s.key] = true
		var err error
		if !v.IsSet(s.key) {
			err = s.set(c, s.preset(c))
		} else if s.setList != nil {
			err = s.setList(c, v.Get(s.key))
		} else {
			err = s.set(c, fmt.Sprint(v.Get(s.key)))
		}
		if err != nil {
			faults = append(faults, Fault{s.key, err.Error(), s.remedy})
		}
	}
	for _, key := range v.AllKeys() {
		if !known[key] {
			faults = append(faults, Fault{key, "is no key of this configuration", "remove it, or correct its spelling"})
		}
	}
	if len(faults) > 0 {
		return nil, &InvalidError{faults}
	}
	return c, nil
}

// FromFile reports whether a key's value is the one that the files hold. Those belong to the service's user, so root does
// nothing on their word alone.
func (c *Config) FromFile(key, value string) bool {
	return c.files.IsSet(key) && fmt.Sprint(c.files.Get(key)) == value
}

// Owners are the user numbers of those that the files belonged to when they were read, by the file.
func (c *Config) Owners() map[string]int { return c.owners }

// parse returns the file's keys, and notes its owner; none if the file does not exist.
func (c *Config) parse(path string) (map[string]any, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	c.owners[path] = int(info.Sys().(*syscall.Stat_t).Uid)
	data, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	var held map[string]any
	err = yaml.Unmarshal(data, &held)
	return held, err
}
