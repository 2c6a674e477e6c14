package host

import (
	"errors"
	"net"
	"regexp"
	"slices"
	"strings"

	"keytrustee/replication"
)

// maxHosts is how many further names a joiner may have in its certificates.
const maxHosts = 8

var (
	nodeNames    = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)
	hostNames    = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?\.?$`)
	incarnations = regexp.MustCompile(`^[0-9a-f]{0,32}$`)
)

// check refuses what no joiner of ours asks for, before anything is done about it or written of it: what a joiner says of
// itself becomes certificates, access rules and the state of the pair.
func (q *joinRequest) check() error {
	bad := func(what string) error { return errors.New("the request to join has " + what) }
	isHost := func(s string) bool { return net.ParseIP(s) != nil || hostNames.MatchString(s) }
	ports := []int{q.Port, q.ClusterPort, q.DBPort}
	switch {
	case q.Kind != "" && operations[q.Kind] == "":
		return bad("a kind that is none")
	case q.Name != "" && !nodeNames.MatchString(q.Name):
		return bad("a name that is none: use 1 to 32 lower-case letters, digits and dashes")
	case q.Address != "" && !isHost(q.Address), q.Hostname != "" && !isHost(q.Hostname):
		return bad("an address that is neither a DNS name nor an IP address")
	case len(q.Hosts) > maxHosts || slices.ContainsFunc(q.Hosts, func(s string) bool { return !isHost(s) }):
		return bad("further names that can stand in no certificate")
	case slices.ContainsFunc(ports, func(p int) bool { return p < 0 || p > 65535 }):
		return bad("a port that is none")
	case !incarnations.MatchString(q.Incarnation):
		return bad("no name for its copy")
	case q.Had != nil && (q.Had.From >= q.Had.End || !incarnations.MatchString(q.Had.Incarnation)):
		return bad("a log that is none")
	}
	return nil
}

// itself reports whether the caller has no proof but the certificate that it shows.
func (q *joinRequest) itself() bool { return q.Kind == Reclone && q.Secret == "" && len(q.Nonce) == 0 }

// whole is the log of the joiner's own data; nil if it can not be read to where it was confirmed: then it is no witness.
func (q *joinRequest) whole() *replication.Boundary {
	if q.Had == nil || q.Had.End < q.Confirmed {
		return nil
	}
	return q.Had
}

// sameHost reports whether two spellings are of one address.
func sameHost(a, b string) bool {
	if ip := net.ParseIP(a); ip != nil {
		return ip.Equal(net.ParseIP(b))
	}
	return strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
}
