package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// InvalidError lists everything that is wrong with a configuration.
type InvalidError struct{ Faults []Fault }

// Fault is one thing that is wrong.
type Fault struct {
	Field   string // the key, or the file
	Problem string // continues the sentence that begins with the field
	Remedy  string
}

func (e *InvalidError) Error() string {
	var lines []string
	for _, f := range e.Faults {
		line := f.Field + ": " + f.Problem
		if f.Remedy != "" {
			line += "; " + f.Remedy
		}
		lines = append(lines, line)
	}
	return "the configuration is wrong: " + strings.Join(lines, "\n  ")
}

// A name becomes part of the standby's name, which PostgreSQL cuts at 63 bytes, and of file names.
var nodeName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)

var dnsName = regexp.MustCompile(`^([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?$`)

// Validate checks everything and returns an *InvalidError with all faults, or nil. It touches nothing.
func (c *Config) Validate() error {
	var v validation
	if c.ClusterID == "" {
		v.fault("cluster_id", "is empty", "run ktadmin init, or copy keytrustee.yaml from the other host")
	}
	if !nodeName.MatchString(c.Name) {
		v.fault("name", quoted(c.Name)+" is no node name", "use 1 to 32 lower-case letters, digits and dashes, such as kt01")
	}
	if !isHost(c.ExternalAddress) {
		v.fault("external_address", quoted(c.ExternalAddress)+" is neither a DNS name nor an IP address",
			"give the name by which clients reach this host, without port")
	}
	if c.ListenAddress != "" && net.ParseIP(c.ListenAddress) == nil {
		v.fault("listen_address", quoted(c.ListenAddress)+" is not an IP address", "give an address of this host, or nothing for all")
	}
	v.ports(c)
	v.absolute("pg_rootdir", c.PGRootDir)
	v.absolute("socket_dir", c.SocketDir)
	v.absolute("log_dir", c.LogDir)
	v.absolute("backup_directory", c.BackupDirectory)
	const socketName, socketMax = "/.s.PGSQL.65535.lock", 107
	if most := socketMax - len(socketName); len(c.SocketDir) > most {
		v.fault("socket_dir", fmt.Sprintf("has %d bytes and the path of a socket in it would be too long", len(c.SocketDir)),
			fmt.Sprintf("choose a directory of at most %d bytes", most))
	}
	if c.InConfdir(c.PGRootDir) {
		v.fault("pg_rootdir", c.PGRootDir+" lies in the confdir, which may be copied to the other host", "choose a directory outside of "+c.Confdir)
	}
	if c.InConfdir(c.BackupDirectory) {
		v.fault("backup_directory", c.BackupDirectory+" lies in the confdir, which may be copied to the other host", "choose a directory outside of "+c.Confdir)
	}
	if c.User == "" || strings.ContainsAny(c.User, ":/ \t\n") {
		v.fault("user", quoted(c.User)+" is no name of a system user", "give the user that the services run as, such as keytrustee")
	}
	if c.Peer.Name != "" && (!nodeName.MatchString(c.Peer.Name) || c.Peer.Name == c.Name) {
		v.fault("peer.name", quoted(c.Peer.Name)+" is not the name of another node", "give the name that the other host has in its node.yaml")
	}
	if c.Peer.Address != "" && !isHost(c.Peer.Address) {
		v.fault("peer.address", quoted(c.Peer.Address)+" is neither a DNS name nor an IP address", "give the other host's external_address")
	}
	if c.Peer.Source != "" && net.ParseIP(c.Peer.Source) == nil {
		v.fault("peer.source", quoted(c.Peer.Source)+" is not an IP address", "give the address that the other host's connections come from")
	}
	if _, _, err := c.SyslogReceiver(); err != nil {
		v.fault("syslog", err.Error(), "give tls://HOST:6514 or tcp://HOST:514, or nothing")
	}
	if c.SyslogCA != "" {
		v.absolute("syslog_ca", c.SyslogCA)
	}
	if c.MetricsAddress != "" {
		if host, port, err := net.SplitHostPort(c.MetricsAddress); err != nil || host != "" && !isHost(host) || !isPort(port) {
			v.fault("metrics_address", quoted(c.MetricsAddress)+" is not an address and a port", "give it as 127.0.0.1:11373, or nothing")
		}
	}
	v.retention(c)
	if c.BackupOpenPGPKeys != "" {
		v.absolute("backup_openpgp_keys", c.BackupOpenPGPKeys)
	}
	if c.BackupSSHKnownHosts != "" {
		v.absolute("backup_ssh_known_hosts", c.BackupSSHKnownHosts)
	}
	if c.BackupSSHKey != "" {
		v.absolute("backup_ssh_key", c.BackupSSHKey)
	}
	return v.err()
}

// SyslogReceiver is the receiver of syslog, host:port, and whether it is reached over TLS; empty: there is none.
func (c *Config) SyslogReceiver() (address string, overTLS bool, err error) {
	if c.Syslog == "" {
		return "", false, nil
	}
	u, err := url.Parse(c.Syslog)
	if err != nil || u.Scheme != "tls" && u.Scheme != "tcp" || !isHost(u.Hostname()) || u.Path != "" || u.RawQuery != "" || u.User != nil {
		return "", false, errors.New(quoted(c.Syslog) + " names no receiver of syslog")
	}
	port, overTLS := u.Port(), u.Scheme == "tls"
	switch {
	case port == "" && overTLS:
		port = "6514" // RFC 5425
	case port == "":
		port = "514"
	case !isPort(port):
		return "", false, errors.New(quoted(c.Syslog) + " has no port from 1 to 65535")
	}
	return net.JoinHostPort(u.Hostname(), port), overTLS, nil
}

func isPort(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n > 0 && n < 65536
}

// ValidateJoiner is Validate for a host that has not joined yet: what a join settles may be empty.
func (c *Config) ValidateJoiner() error {
	settled := map[string]bool{"cluster_id": c.ClusterID == "", "name": c.Name == "", "external_address": c.ExternalAddress == ""}
	var v validation
	if invalid, ok := errors.AsType[*InvalidError](c.Validate()); ok {
		v.faults = slices.DeleteFunc(invalid.Faults, func(f Fault) bool { return settled[f.Field] })
	}
	return v.err()
}

// validation collects faults.
type validation struct{ faults []Fault }

func (v *validation) fault(field, problem, remedy string) {
	v.faults = append(v.faults, Fault{field, problem, remedy})
}

func (v *validation) err() error {
	if len(v.faults) == 0 {
		return nil
	}
	return &InvalidError{v.faults}
}

func (v *validation) absolute(field, path string) {
	if !filepath.IsAbs(path) {
		v.fault(field, quoted(path)+" is not an absolute path", "begin it with /")
	}
}

func (v *validation) ports(c *Config) {
	taken := map[int]string{}
	for _, p := range []struct {
		field string
		port  int
	}{{"port", c.Port}, {"cluster_port", c.ClusterPort}, {"db_port", c.DBPort}} {
		if p.port < 1 || p.port > 65535 {
			v.fault(p.field, fmt.Sprintf("%d is not a port", p.port), "choose one from 1 to 65535")
		} else if other, ok := taken[p.port]; ok {
			v.fault(p.field, fmt.Sprintf("%d is already %s", p.port, other), "give each listener a port of its own")
		}
		taken[p.port] = p.field
	}
}

// retention makes sure that some backup is kept.
func (v *validation) retention(c *Config) {
	numbers := []struct {
		field string
		n     int
	}{{"backup_keep_hourly", c.BackupKeepHourly}, {"backup_keep_daily", c.BackupKeepDaily}, {"backup_keep_weekly", c.BackupKeepWeekly}}
	none := true
	for _, k := range numbers {
		if k.n < 0 {
			v.fault(k.field, fmt.Sprintf("%d is less than none", k.n), "give a number from 0 on")
		}
		none = none && k.n == 0
	}
	if none {
		v.fault(numbers[0].field, "is 0, and so are backup_keep_daily and backup_keep_weekly: no backup would be kept", "let one of them be more")
	}
}

func quoted(s string) string { return fmt.Sprintf("%q", s) }

// isHost reports whether s is a DNS name or an IP address.
func isHost(s string) bool {
	return net.ParseIP(s) != nil || len(s) <= 253 && dnsName.MatchString(s) && strings.Trim(s, "0123456789.") != ""
}
