package pairtest

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"keytrustee/internal/machine"
	"keytrustee/postgres"
)

// Options say how the hosts of a pair differ from those of an operator.
type Options struct {
	Tags      []string // build tags of both programs
	Disk      int64    // bytes of each host's disk; 0: 4 GiB, taken as they are used
	Stable    bool     // the disks take their space from this machine's disk, and not from its memory
	Forgetful bool     // ForgetUnsynced works
	Clock     bool     // SetClock works
	Bare      bool     // nothing of ours is on the hosts, their service's user and their disks included, and they are no pair
}

// hosts is two machines made of namespaces, which begin with what a package installs.
type hosts struct {
	pair *Pair
	site *machine.Site
	of   map[*Node]*machine.Host

	options Options
	memory  map[*Node]func(string) (string, error) // asks what serves a forgetful disk
}

// The numbers of the service's user: it has one on each host, as they come.
var users = []int{391, 392}

// What an operator would choose, and the package's units take for granted.
const (
	home       = "/var/lib/keytrustee"
	clientPort = 11371
	pgPort     = 11381
)

// NewHosts starts a confirmed pair, as New does, of which each node is a host of its own: with its network, disk, names, processes and
// services, set up by the commands that an operator types; with Options.Bare nobody has typed any yet. Only root can have that.
func NewHosts(t testing.TB, options Options) *Pair {
	t.Helper()
	begun := time.Now()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	if options.Disk == 0 && !options.Bare {
		options.Disk = 4 << 30
	}
	if options.Clock {
		options.Tags = append(slices.Clone(options.Tags), "faults")
	}
	names := []string{"kt01.example.com", "kt02.example.com"}
	addresses := []string{machine.ActiveAddress, machine.PassiveAddress}
	plan := machine.Plan{Units: filepath.Join(root, "packaging/systemd")}
	if !options.Bare {
		plan.Bin = build(t, options.Tags...)
	}
	for i, name := range names {
		plan.Names += addresses[i] + " " + name + "\n"
		plan.Hosts = append(plan.Hosts, machine.Birth{Name: name, Address: addresses[i], User: users[i], Disk: options.Disk, Stable: options.Stable, Bare: options.Bare})
		if options.Forgetful {
			plan.Hosts[i].Mount = forgetfulDisk
		}
	}
	p := &Pair{Dir: t.TempDir(), User: "keytrustee", KMSURI: fmt.Sprintf("kms://https@%s:%d/kms", strings.Join(names, ";"), clientPort)}
	h := &hosts{pair: p, site: machine.New(t, plan), of: map[*Node]*machine.Host{},
		options: options, memory: map[*Node]func(string) (string, error){}}
	p.place, p.CAFile = h, filepath.Join(p.Dir, "ca.pem")
	for i, host := range h.site.Hosts {
		short, _, _ := strings.Cut(host.Name, ".")
		n := &Node{pair: p, Name: short, Address: host.Name, URL: fmt.Sprintf("https://%s:%d", host.Name, clientPort),
			Home: host.File(home), Confdir: host.File(home + "/.keytrustee"), PGData: host.File(home + "/db"), PGPort: pgPort,
			AdminDSN: postgres.ConnString("host", "/run/keytrustee", "port", fmt.Sprint(pgPort), "user", postgres.Superuser, "dbname", "keytrustee")}
		h.of[n] = h.site.Hosts[i]
		p.Nodes = append(p.Nodes, n)
		if options.Forgetful {
			host.Run(t, "install -d -m 0700 -o keytrustee -g keytrustee "+home)
			h.memory[n] = h.remember(t, host)
		}
	}
	p.Active, p.Passive = p.Nodes[0], p.Nodes[1]
	if options.Bare {
		return p
	}
	h.setUp(t)
	t.Logf("a pair on two hosts is confirmed after %v", time.Since(begun).Round(time.Millisecond))
	return p
}

// setUp types what an operator does for a pair on two hosts.
func (h *hosts) setUp(t testing.TB) {
	t.Helper()
	active, passive := h.pair.Active, h.pair.Passive
	for _, n := range h.pair.Nodes {
		h.configure(t, n)
	}
	recovery := "/root/recovery.key"
	active.must(t, "init", "--external-address", active.Address, "--recovery-key-out", recovery)
	active.must(t, "db", "--bootstrap", "--port", fmt.Sprint(pgPort), "--pg-rootdir", home+"/db", "--slave", passive.Address)
	authority, err := os.ReadFile(filepath.Join(active.Confdir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.pair.CAFile, authority, 0o644); err != nil {
		t.Fatal(err)
	}
	active.Start(t)
	passive.Join(t)
	Await(t, 30*time.Second, "replication can be made synchronous", func() bool {
		_, _, status := active.Ktadmin(t, "enable-synchronous-replication")
		return status == 0
	})
	active.must(t, "root-key", "confirm-recovery", "--key-file", recovery)
	h.awaitWritable(t)
}

// configure leaves what an operator would have in /etc/sysconfig.
func (h *hosts) configure(t testing.TB, n *Node) {
	t.Helper()
	if h.options.Clock {
		h.setClock(t, h.of[n], 0)
		file := h.of[n].File("/etc/sysconfig/keytrusteed")
		if err := os.WriteFile(file, []byte("KEYTRUSTEE_CLOCK="+clockFile+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// must runs ktadmin on the node and ends the test if it fails.
func (n *Node) must(t testing.TB, args ...string) string {
	t.Helper()
	return n.mustWith(t, nil, args...)
}

func (n *Node) mustWith(t testing.TB, env []string, args ...string) string {
	t.Helper()
	begun := time.Now()
	out, errs, status := n.pair.place.ktadmin(t, n, env, args)
	if status != 0 {
		t.Fatalf("ktadmin %s on %s ended with %d:\n%s%s", strings.Join(args, " "), n.Name, status, out, errs)
	}
	t.Logf("ktadmin %s on %s (%v)", strings.Join(args, " "), n.Name, time.Since(begun).Round(time.Millisecond))
	return out
}

func (h *hosts) awaitWritable(t testing.TB) {
	t.Helper()
	Await(t, time.Minute, "writes are open", func() bool { return h.pair.Active.Writable(t) })
}

func (h *hosts) ktadmin(t testing.TB, n *Node, env, args []string) (stdout, stderr string, status int) {
	t.Helper()
	return h.of[n].Output(t, env, append([]string{"/usr/bin/ktadmin"}, args...)...)
}

// Run runs a command on the node's host, as root, and returns what it printed and its exit status.
func (n *Node) Run(t testing.TB, argv ...string) (stdout, stderr string, status int) {
	t.Helper()
	return n.hosts(t).of[n].Output(t, nil, argv...)
}

// Listen listens where the pair's clients are, for what hosts reach there.
func (p *Pair) Listen(t testing.TB) net.Listener {
	t.Helper()
	listener, err := p.hosts(t).site.Listen()
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

func (h *hosts) dial(ctx context.Context, network, address string) (net.Conn, error) {
	return h.site.Dial(ctx, machine.Clients, network, address)
}

func (h *hosts) adminConfig(n *Node) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(n.AdminDSN)
	if err != nil {
		return nil, err
	}
	uid := users[0]
	if n == h.pair.Nodes[1] {
		uid = users[1]
	}
	config.DialFunc = func(ctx context.Context, _, address string) (net.Conn, error) {
		return h.of[n].DialUnix(ctx, uid, address)
	}
	return config, nil
}

func (h *hosts) outside(n *Node, pid int) (int, bool) { return h.of[n].Outside(pid) }

func (h *hosts) logFile(n *Node, component string) string {
	return h.of[n].File(machine.LogFile(service(component)))
}
