package pairtest

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"keytrustee/internal/freeport"
	"keytrustee/postgres"
)

// dev is this machine, with what `ktadmin dev` starts on it.
type dev struct {
	pair *Pair
	bin  string
}

// New starts a confirmed pair from what the checkout holds now, and ends it with the test.
func New(t testing.TB) *Pair {
	t.Helper()
	d := &dev{&Pair{Dir: t.TempDir()}, build(t)}
	d.pair.place = d
	ports, err := freeport.Pick(3, "127.0.0.1", "127.0.0.2")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			d.logs(t)
		}
		d.run(t, "down")
	})
	d.run(t, "up", "--port", strconv.Itoa(ports[0]), "--db-port", strconv.Itoa(ports[1]), "--cluster-port", strconv.Itoa(ports[2]))
	d.load(t)
	return d.pair
}

func (d *dev) up(t testing.TB) {
	t.Helper()
	d.run(t, "up")
	d.load(t)
}

func (d *dev) down(t testing.TB) { t.Helper(); d.run(t, "down") }

// load reads pair.json again. The nodes stay the same ones.
func (d *dev) load(t testing.TB) {
	t.Helper()
	p := d.pair
	data, err := os.ReadFile(filepath.Join(p.Dir, "pair.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range p.Nodes {
		n.Pids = nil // what does not run is not in the file
	}
	if err := json.Unmarshal(data, p); err != nil {
		t.Fatalf("reading pair.json: %v", err)
	}
	for _, n := range p.Nodes {
		n.pair = p
	}
	p.Active, p.Passive = p.Nodes[0], p.Nodes[1]
}

func (d *dev) act(t testing.TB, n *Node, verb string, components []string) {
	t.Helper()
	args := []string{verb, n.Name}
	for _, c := range components {
		args = append(args, "--component", c)
	}
	d.run(t, args...)
	d.load(t)
}

// run runs `ktadmin dev` on the pair.
func (d *dev) run(t testing.TB, args ...string) {
	t.Helper()
	args = append(append([]string{"dev"}, args...), "--dir", d.pair.Dir)
	begun := time.Now()
	out, err := exec.Command(filepath.Join(d.bin, "ktadmin"), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("ktadmin %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	t.Logf("ktadmin %s (%v)", strings.Join(args, " "), time.Since(begun).Round(time.Millisecond))
}

func (d *dev) ktadmin(t testing.TB, n *Node, env, args []string) (stdout, stderr string, status int) {
	t.Helper()
	var out, errs bytes.Buffer
	args = append(slices.Clone(args), "--confdir", n.Confdir)
	if _, err := os.Stat(filepath.Join(n.Home, "node", "node.yaml")); err != nil { // a bare host: nothing there says who it is
		args = append([]string{"dev", "run", n.Name, "--dir", d.pair.Dir, "--"}, args[:len(args)-2]...)
	}
	cmd := exec.Command(filepath.Join(d.bin, "ktadmin"), args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func (d *dev) leaders(n *Node, component string) []int {
	if pid, ok := n.Pids[component]; ok {
		return []int{pid}
	}
	return nil
}

func (d *dev) outside(_ *Node, pid int) (int, bool) { return pid, true }

func (d *dev) dial(ctx context.Context, network, address string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, address)
}

func (d *dev) adminConfig(n *Node) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(n.AdminDSN)
	if err != nil {
		return nil, err
	}
	user, err := postgres.LookupOSUser(d.pair.User)
	if err != nil {
		return nil, err
	}
	if user.UID != os.Geteuid() {
		config.DialFunc = dialAs(user)
	}
	return config, nil
}

func (d *dev) logFile(n *Node, component string) string {
	return filepath.Join(n.Home, "log", component+".out")
}

// logs shows the end of every log, for a test that failed.
func (d *dev) logs(t testing.TB) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(d.pair.Dir, "*", "log", "*.out"))
	for _, file := range files {
		data, _ := os.ReadFile(file)
		lines := strings.Split(strings.TrimSpace(string(data)), "\n")
		t.Logf("%s ends:\n%s", file, strings.Join(lines[max(0, len(lines)-25):], "\n"))
	}
}
