package pairtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"keytrustee/internal/freeport"
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
}

// Node is one host of it, as it was last started.
type Node struct {
	pair *Pair

	Name     string
	Address  string
	URL      string
	Home     string
	Confdir  string
	PGData   string `json:"pg_data"`
	PGPort   int    `json:"pg_port"`
	AdminDSN string `json:"admin_dsn"`
	Pids     map[string]int
}

// New starts a confirmed pair from what the checkout holds now, and ends it with the test.
func New(t testing.TB) *Pair {
	t.Helper()
	build(t)
	dir := t.TempDir()
	ports, err := freeport.Pick(3, "127.0.0.1", "127.0.0.2")
	if err != nil {
		t.Fatal(err)
	}
	p := &Pair{Dir: dir}
	t.Cleanup(func() {
		if t.Failed() {
			p.logs(t)
		}
		p.dev(t, "down")
	})
	p.dev(t, "up", "--port", strconv.Itoa(ports[0]), "--db-port", strconv.Itoa(ports[1]), "--cluster-port", strconv.Itoa(ports[2]))
	p.load(t)
	return p
}

// Down ends all of the pair.
func (p *Pair) Down(t testing.TB) {
	t.Helper()
	p.dev(t, "down")
}

// Up brings back all of a pair of which parts do not run, and returns when it is confirmed.
func (p *Pair) Up(t testing.TB) {
	t.Helper()
	p.dev(t, "up")
	p.load(t)
}

// load reads pair.json again. The nodes stay the same ones.
func (p *Pair) load(t testing.TB) {
	t.Helper()
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

// dev runs `ktadmin dev` on the pair.
func (p *Pair) dev(t testing.TB, args ...string) {
	t.Helper()
	args = append(append([]string{"dev"}, args...), "--dir", p.Dir)
	begun := time.Now()
	out, err := exec.Command(filepath.Join(bin, "ktadmin"), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("ktadmin %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	t.Logf("ktadmin %s (%v)", strings.Join(args, " "), time.Since(begun).Round(time.Millisecond))
}

// Ktadmin runs a command on the node, as root would, and returns what it printed and its exit status.
func (n *Node) Ktadmin(t testing.TB, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(filepath.Join(bin, "ktadmin"), append(args, "--confdir", n.Confdir)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// logs shows the end of every log, for a test that failed.
func (p *Pair) logs(t testing.TB) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(p.Dir, "*", "log", "*.out"))
	for _, file := range files {
		data, _ := os.ReadFile(file)
		lines := strings.Split(strings.TrimSpace(string(data)), "\n")
		t.Logf("%s ends:\n%s", file, strings.Join(lines[max(0, len(lines)-25):], "\n"))
	}
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

var (
	built sync.Once
	bin   string // holds ktadmin and keytrusteed, built from the checkout
)

// build compiles both programs, once for all tests of a process.
func build(t testing.TB) {
	t.Helper()
	built.Do(func() {
		dir, err := buildPrograms()
		if err != nil {
			t.Fatal(err)
		}
		bin = dir
	})
	if bin == "" {
		t.Fatal("the programs were not built")
	}
}

func buildPrograms() (string, error) {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("looking for the module: %w", err)
	}
	dir := filepath.Join(strings.TrimSpace(string(root)), "bin")
	cmd := exec.CommandContext(context.Background(), "go", "build", "-o", dir+string(filepath.Separator), "./cmd/...")
	cmd.Dir = strings.TrimSpace(string(root))
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building: %w\n%s", err, out)
	}
	return dir, nil
}
