package machine

import (
	"os"
	"sync"
	"testing"
)

// Plan is what hosts are made from.
type Plan struct {
	Bin   string // directory of ktadmin and keytrusteed
	Units string // directory of their units
	Names string // /etc/hosts, everywhere on the site, beside localhost
	Hosts []Birth
}

// Birth is what makes one host another than its neighbour.
type Birth struct {
	Name    string
	Address string // of Network
	User    int    // number of the system user keytrustee
	Disk    int64  // bytes of the host's disk; 0: it has none, and all of it lies in memory
	Stable  bool   // its disk takes its space from this machine's disk, and not from its memory
	Mount   string // where its disk is mounted, for the service's user; empty: /var/lib/keytrustee
	Bare    bool   // nothing of ours is on it, and the user is not there either
}

// Site is hosts and the network between them, which has a third place, for clients.
type Site struct {
	Hosts   []*Host
	clients int // a process in the clients' network
	names   string

	mu    sync.Mutex // guards what follows while the network is changed
	cuts  []cut
	ruled map[int]string // what holds now where a process is
	lines map[*Host]*line
}

// The addresses are of the network that is kept for documentation, and exist inside the namespaces alone.
const (
	ActiveAddress  = "192.0.2.1"
	PassiveAddress = "192.0.2.2"
	ClientsAddress = "192.0.2.3"
)

// New starts hosts with nothing of ours on them but the programs and the units, as a package would install them, or not even these. They end
// with the test.
func New(t testing.TB, plan Plan) *Site {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can make hosts out of namespaces")
	}
	s := &Site{clients: startNetwork(t), names: plan.Names, ruled: map[int]string{}, lines: map[*Host]*line{}}
	t.Cleanup(s.stopLines)
	for _, b := range plan.Hosts {
		s.Hosts = append(s.Hosts, startHost(t, plan, b))
	}
	s.connect(t)
	return s
}
