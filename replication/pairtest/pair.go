package pairtest

import (
	"context"
	"crypto/rand"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Pair is a pair on this machine. Its methods end the test when they can not do what they say.
type Pair struct {
	Dir     string
	KMSURI  string `json:"kms_uri"`
	CAFile  string `json:"ca_file"`
	User    string `json:"user"`
	Nodes   []*Node
	Active  *Node `json:"-"`
	Passive *Node `json:"-"`

	place place
}

// Node is one host of it, as it was last started.
type Node struct {
	pair *Pair

	Name     string
	Address  string
	URL      string
	Home     string         // as the test finds it
	Confdir  string         // as the test finds it; what the node's commands are told, Ktadmin knows
	PGData   string         `json:"pg_data"` // as the test finds it
	PGPort   int            `json:"pg_port"`
	AdminDSN string         `json:"admin_dsn"` // as the node's own processes would use it: see SQL
	Pids     map[string]int // of the components that run: PostgreSQL's own, and the daemon's
}

// place is where a pair's nodes are: this machine, or hosts of their own.
type place interface {
	// act starts, stops or kills components of the node, all of them if none is named, and returns when they answer, or are gone.
	act(t testing.TB, n *Node, verb string, components []string)
	up(t testing.TB)
	down(t testing.TB)
	// load looks at what runs and lets the nodes know.
	load(t testing.TB)
	ktadmin(t testing.TB, n *Node, env, args []string) (stdout, stderr string, status int)
	// leaders are the processes of the component that have no parent among its processes.
	leaders(n *Node, component string) []int
	// outside is what this machine calls a process whose number the node has told.
	outside(n *Node, pid int) (int, bool)
	// dial connects to a node as its clients do.
	dial(ctx context.Context, network, address string) (net.Conn, error)
	// adminConfig leads to the node's database.
	adminConfig(n *Node) (*pgx.ConnConfig, error)
	logFile(n *Node, component string) string
}

// Other is the pair's other node.
func (n *Node) Other() *Node {
	if n == n.pair.Nodes[0] {
		return n.pair.Nodes[1]
	}
	return n.pair.Nodes[0]
}

// Down ends all of the pair.
func (p *Pair) Down(t testing.TB) { t.Helper(); p.place.down(t) }

// Up brings back all of a pair of which parts do not run, and returns when it is confirmed.
func (p *Pair) Up(t testing.TB) { t.Helper(); p.place.up(t) }

// Dial connects to a node as its clients do: the DialContext of a http.Transport that speaks to the pair.
func (p *Pair) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return p.place.dial(ctx, network, address)
}

// Ktadmin runs a command on the node, as root would, and returns what it printed and its exit status.
func (n *Node) Ktadmin(t testing.TB, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	return n.pair.place.ktadmin(t, n, nil, args)
}

// NewKey returns a name that no key of the pair has.
func NewKey() string { return "key-" + strings.ToLower(rand.Text()[:12]) }

// Await returns when the condition holds, and ends the test if it does not within the time given.
func Await(t testing.TB, within time.Duration, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}
