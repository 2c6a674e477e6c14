package host

import (
	"crypto/rand"
	"encoding/hex"
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"keytrustee/certs"
	"keytrustee/kms/seal"
)

// Host is where one host's files lie and how it is reached. Constructing one touches nothing.
type Host struct {
	Confdir string // shared by the pair; its parent is the host's home
	PGRoot  string // PostgreSQL's data directory
	Sockets string // PostgreSQL's socket and the daemon's
	LogDir  string

	ClusterID       string
	Name            string // the node's name
	ExternalAddress string // DNS name or IP address
	ListenAddress   string // empty: all
	Port            int    // clients
	ClusterPort     int    // the peer's daemon
	DBPort          int    // PostgreSQL
	Peer            Peer

	Settings Settings // writes the configuration files

	// failpoint, in tests, is told each point that a crash may follow, and ends the operation there by returning an
	// error.
	failpoint func(point string) error
}

// Peer is what a host knows of the other one.
type Peer struct {
	Name    string
	Address string // as ExternalAddress
	Source  string // the IP address its connections come from, where Address does not say it
}

// Settings writes a host's configuration files. Package internal/config does it.
type Settings interface {
	Shared() []byte  // the text of keytrustee.yaml
	SaveNode() error // replaces node.yaml, durably
}

// NewClusterID names a new cluster.
func NewClusterID() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// Home holds everything of the host but sockets.
func (h *Host) Home() string { return filepath.Dir(h.Confdir) }

// NodeDir holds what is this host's own.
func (h *Host) NodeDir() string { return filepath.Join(h.Home(), "node") }

// StateFile is replication's state file.
func (h *Host) StateFile() string { return filepath.Join(h.NodeDir(), "state.json") }

// PGConf holds PostgreSQL's configuration files.
func (h *Host) PGConf() string { return filepath.Join(h.NodeDir(), "postgres") }

// AdminSocket is the daemon's socket for ktadmin.
func (h *Host) AdminSocket() string { return filepath.Join(h.Sockets, "admin.sock") }

// AuthorityFile is the certificate of the cluster's authority.
func (h *Host) AuthorityFile() string { return filepath.Join(h.Confdir, seal.AuthorityFile) }

func (h *Host) ssl(name string) string { return filepath.Join(h.Confdir, ".ssl", name) }

// PublicFiles are the certificate that clients see, under the original's names.
func (h *Host) PublicFiles() certs.Files {
	return certs.Files{
		Cert: h.ssl("ssl-cert-keytrustee.pem"), Key: h.ssl("ssl-cert-keytrustee-pk.pem"), CA: h.ssl("ssl-cert-keytrustee-ca.pem"),
		Address: h.ExternalAddress,
	}
}

// ClusterFiles are the certificate that the peer sees; PostgreSQL serves and shows it too.
func (h *Host) ClusterFiles() certs.Files {
	return certs.Files{Cert: h.ssl("cluster.pem"), Key: h.ssl("cluster-key.pem"), CA: h.AuthorityFile(), Node: h.Name}
}

// ClusterAddress is host:port of this host's cluster listener.
func (h *Host) ClusterAddress() string {
	return net.JoinHostPort(h.ExternalAddress, strconv.Itoa(h.ClusterPort))
}

// URL is where clients reach this host.
func (h *Host) URL() string { return publicURL(h.ExternalAddress, h.Port) }

func publicURL(address string, port int) string {
	return "https://" + net.JoinHostPort(address, strconv.Itoa(port))
}

// NodeName is the name that a host with that address gets, when nobody gives it one: the first label of a DNS name.
func NodeName(address string) string {
	if net.ParseIP(address) != nil {
		return "kt-" + strings.Trim(strings.NewReplacer(".", "-", ":", "-").Replace(address), "-")
	}
	label, _, _ := strings.Cut(strings.ToLower(address), ".")
	label = strings.Map(func(r rune) rune {
		if r == '-' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' {
			return r
		}
		return '-'
	}, label)
	return strings.Trim(label[:min(len(label), 32)], "-")
}

// What of a confdir is this package's, beside the boxes and certificates.
const (
	settingsFile     = "keytrustee.yaml"
	confirmationFile = "recovery-confirmed.json" // a confirmation
)

// sealedFile is where a secret lies as a box under the KEK.
func sealedFile(confdir, name string) string { return filepath.Join(confdir, "sealed", name+".box") }

// The names of the boxes.
const (
	authorityBox = "authority" // the cluster authority's key, PKCS #8
	cookieBox    = "cookie"    // what signs authentication cookies, 32 bytes
	backupBox    = "backup"    // what backups are authenticated with; missing, until the recovery key was seen
)
